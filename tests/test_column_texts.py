"""What is told of many texts at once is what tokenizer and checks say of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lrs2m_builder.checks import MOJIBAKE, REPETITION, Answer, split_words
from lrs2m_builder.clip.tokenizer import count_tokens
from lrs2m_builder.columns.texts import measure_texts
from lrs2m_builder.columns.vocabulary import Vocabulary
from lrs2m_builder.schema import Sample
from lrs2m_builder.text import normalise_caption
from tests.test_columns import PLAIN
from tests.test_text_and_tokenizer import TRICKY, read_captions


def test_tokens_and_repeats_of_real_texts_are_those_of_tokenizer_and_words(real_data: Path) -> None:
    captions = [caption.encode("utf-8", "replace").decode() for caption in (*TRICKY, *read_captions(real_data))]
    known = measure_texts(pa.array(captions, pa.string()), Vocabulary())
    assert known.plain.mean() > 0.5 and REPETITION.screen
    is_flagged = REPETITION.screen(known)
    assert is_flagged[known.plain].mean() < 0.05
    for number in known.plain.nonzero()[0].tolist():
        caption, answer = captions[number], make_answer(captions[number])
        assert normalise_caption(caption) == caption
        assert (known.num_tokens[number], known.num_words[number]) == (count_tokens(caption), len(answer.words))
        assert MOJIBAKE.find(answer) is None
        assert is_flagged[number] or REPETITION.find(answer) is None
        words = [word.lower() for word in answer.words]
        runs = list(zip(words, words[1:], words[2:], strict=False))
        assert len(runs) - len(set(runs)) <= known.num_repeats[number] <= len(runs) - len(set(runs)) + 3


def make_answer(text: str) -> Answer:
    return Answer(text, text, split_words(text), "stop", count_tokens(text), Sample("", "", "", None))


def test_whatever_repeats_itself_is_looked_at() -> None:
    random = np.random.default_rng(5)
    words = [*"a b c d e f g h i j k l", "the red-roofed", "left/right", "-", "end.", "Yes!", "A.", "x, y", "3.5"]
    texts = []
    for number in range(6000):
        size = int(random.integers(1, 14))
        phrase = " ".join(random.choice(words, size).tolist())
        around = [" ".join(random.choice(words, int(random.integers(0, 12))).tolist()) for _ in range(4)]
        looped = " ".join([phrase] * int(random.integers(1, 7)))
        apart = f"{around[0]}. {phrase}. {around[1]} c. {phrase}. {around[2]} d. {phrase}."
        texts.append(" ".join((f"{around[0]} {looped} {around[1]}" if number % 2 else apart).split()))
    found = np.array([REPETITION.find(make_answer(text)) is not None for text in texts])
    known = measure_texts(pa.array(texts), Vocabulary())
    assert REPETITION.screen and known.plain.mean() > 0.99
    is_flagged = REPETITION.screen(known)
    assert 1000 < found.sum() < 5000
    assert not [text for text, missed in zip(texts, found & ~is_flagged, strict=True) if missed]
    assert (is_flagged & ~found).mean() < 0.3


@pytest.mark.parametrize("text", ["round and round " * 9, "a a a a a a a", "Trees, and trees. " * 4 + "End."])
def test_a_text_that_goes_round_never_passes_the_screen(text: str) -> None:
    text = text.strip()
    assert REPETITION.find(make_answer(text)) and REPETITION.screen
    for others in ([], [PLAIN] * 3, [PLAIN] * 40_000):
        assert REPETITION.screen(measure_texts(pa.array([*others, text, PLAIN]), Vocabulary()))[len(others)]


def test_a_single_odd_letter_makes_a_text_of_any_length_odd() -> None:
    texts = ["tree " * 1_200_000 + "café", "tree"]
    assert measure_texts(pa.array(texts), Vocabulary()).plain.tolist() == [False, True]


def test_a_full_vocabulary_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrs2m_builder.columns.vocabulary.MAX_CACHED_WORDS", 20)
    vocabulary = Vocabulary()
    for number in range(20):
        text = f"{PLAIN} Row {number} has word{number} and left/right-hand_{number}."
        known = measure_texts(pa.array([text, PLAIN]), vocabulary)
        assert known.num_tokens.tolist() == [count_tokens(text), count_tokens(PLAIN)]
