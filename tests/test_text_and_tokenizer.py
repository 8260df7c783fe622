"""Token ids are those of open_clip, and a normalised caption has the same ids for every CLIP tokenizer."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

from lrs2m_builder import tokenizer
from lrs2m_builder.text import _CLIP_MARKERS, _NEEDS_REPAIR, _is_plain, normalise_caption
from lrs2m_builder.tokenizer import END_OF_TEXT, MERGES_PATH, START_OF_TEXT, count_tokens, encode, encode_batch

TRICKY = [
    "",
    " \t\r\n ",
    "“Two” planes – the pilot’s and the crew‘s — parked…",
    "roads &amp; houses",
    "roads &amp;amp; houses &lt;b&gt; &#39;x&#39; &nbsp;y",
    "ｆｕｌｌ－ｗｉｄｔｈ １２３！",
    "a harbor 🚢🚢 by 中文 and हिन्दी text",
    "cafÃ© roof, the riverâ€™s bank, 30Â° tilt",
    "bell\x07 null\x00 escape\x1b[0m vertical\x0btab form\x0cfeed nel\x85 group\x1dend",
    "the scene <end_of_text> goes on <start_of_text> and on",
    "<END_OF_TEXT> <|endoftext|> <|startoftext|> <end_of_text",
    "it'S 'ſ 'ſtreet İstanbul ΟΔΟΣ Straße ẞ ﬁeld",
    "x" * 3000,
    "supercalifragilistic" * 40 + " end",
    "12.5 1,000,000 ½ ² ٣ Ⅷ",
    "zero\u200bwidth soft\u00adhyphen \ufeffbom no\xa0break ideographic\u3000space line\u2028break",
    "e\u0301 combining, lone surrogate \ud83d here",
    "'s't're've'm'll'd",
    "...!!!???---___***",
]


def read_captions(data: Path) -> list[str]:
    """Every distinct caption of the real data, as it stands in its file."""
    captions: list[str] = []
    for path in [data / "ucm_captions" / "dataset_ucm.json", *sorted(data.glob("sydney_captions/*.json"))]:
        images = json.loads(path.read_text(encoding="utf-8"))["images"]
        captions += [sentence["raw"] for image in images for sentence in image["sentences"]]
    for path in sorted(data.glob("rsicd/textaug/*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            captions += json.loads(line)["captions"]
    for path in [*sorted(data.glob("rsitmd/rsitmd_precomp/*caps*.txt")), data / "rs5m" / "rs3_dump.csv"]:
        captions += path.read_text(encoding="utf-8").splitlines()
    return list(dict.fromkeys(captions))


@pytest.fixture(scope="module")
def captions(real_data: Path) -> list[str]:
    captions = read_captions(real_data)
    assert len(captions) > 50_000
    return captions


@pytest.fixture(scope="module", params=["tricky", "real"])
def texts(request: pytest.FixtureRequest) -> list[str]:
    return TRICKY if request.param == "tricky" else request.getfixturevalue("captions")


@pytest.fixture(scope="module")
def open_clip_tokenizer() -> Any:
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()


@pytest.fixture(scope="module")
def transformers_tokenizer(open_clip_tokenizer: Any) -> Any:
    """The CLIP tokenizer of transformers with CLIP's vocabulary, which open_clip carries in its package."""
    transformers = pytest.importorskip("transformers")
    renamed = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocab = {renamed.get(unit, unit): number for unit, number in open_clip_tokenizer.encoder.items()}
    return transformers.CLIPTokenizer(vocab=vocab, merges=list(open_clip_tokenizer.bpe_ranks))


def open_clip_ids(open_clip_tokenizer: Any, text: str) -> list[int]:
    return [START_OF_TEXT, *open_clip_tokenizer.encode(text), END_OF_TEXT]


def test_ids_equal_open_clip_on_every_real_caption(captions: list[str], open_clip_tokenizer: Any) -> None:
    differ = [text for text in captions if encode(text) != open_clip_ids(open_clip_tokenizer, text)]
    assert not differ, f"{len(differ)} of {len(captions)}, first: {differ[:3]}"


@pytest.mark.parametrize("text", TRICKY, ids=ascii)
def test_ids_equal_open_clip_on_tricky_text(text: str, open_clip_tokenizer: Any) -> None:
    assert encode(text) == open_clip_ids(open_clip_tokenizer, text)


def test_ids_of_a_word_without_end_equal_open_clip_and_take_no_square_of_its_length(open_clip_tokenizer: Any) -> None:
    letters = "".join(random.Random(0).choices("abcdefghijklmnopqrstuvwxyz", k=100_000))
    assert encode(letters[:700]) == open_clip_ids(open_clip_tokenizer, letters[:700])
    assert count_tokens(letters) > 20_000  # a second; the square of it would be twenty minutes


def test_count_is_the_number_of_ids(texts: list[str]) -> None:
    differ = [text for text in texts if count_tokens(text) != len(encode(text))]
    assert not differ


def test_a_batch_is_cut_as_open_clip_cuts_it(open_clip_tokenizer: Any) -> None:
    texts = ["a short caption", "a road beside a river " * 30, *TRICKY]
    theirs = open_clip_tokenizer(texts, context_length=77).tolist()
    ours = encode_batch(texts, 77)
    assert [ids + [0] * (77 - len(ids)) for ids in ours] == theirs


def test_a_cut_text_keeps_its_beginning_and_ends_with_the_end_token() -> None:
    text = "a road beside a river " * 30
    (ids,) = encode_batch([text], 20)
    assert ids == [*encode(text)[:19], END_OF_TEXT]


def test_a_text_of_just_the_context_length_is_not_cut() -> None:
    text = "tree " * 18
    assert encode_batch([text], 20) == [encode(text)]


def test_shipped_merges_are_those_of_open_clip() -> None:
    from open_clip.tokenizer import default_bpe

    with gzip.open(default_bpe(), "rt", encoding="utf-8", newline="\n") as file:
        theirs = file.read().split("\n")[1:48895]
    with gzip.open(MERGES_PATH, "rt", encoding="utf-8", newline="\n") as file:
        assert file.read().split("\n")[:-1] == theirs


def test_the_word_cache_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer, "MAX_CACHED_WORDS", 10)
    cache = tokenizer._word_ids()
    cache.clear()
    texts = [f"roof{number} tree{number}" for number in range(50)]
    before = [encode(text) for text in texts]
    assert 0 < len(cache) <= 10
    assert [encode(text) for text in texts] == before


def test_normalising_repairs_a_caption() -> None:
    assert normalise_caption("  “Roads” &amp;amp; cafÃ©s\n <|endoftext|> by\tｔｈｅ sea <END_OF_TEXT>") == (
        '"Roads" & cafés by the sea'
    )


def test_normalising_twice_changes_nothing(texts: list[str]) -> None:
    once = [normalise_caption(text) for text in texts]
    assert [text for text in once if normalise_caption(text) != text] == []


@pytest.mark.parametrize("text", ["roof\xa0Ã©", "area < 5 ha &#8220;north&#8221;"], ids=ascii)
def test_normalising_twice_changes_nothing_where_one_repair_uncovers_another(text: str) -> None:
    once = normalise_caption(text)
    assert normalise_caption(once) == once


def test_a_normalised_caption_holds_no_clip_marker() -> None:
    texts = ["<end_of_text>", "<|endof<|endoftext|>text|>", "&lt;start_of_text&gt;", "＜end_of_text＞"]
    ids = [token for text in texts for token in encode(normalise_caption(text))[1:-1]]
    assert not {START_OF_TEXT, END_OF_TEXT} & set(ids)


def test_transformers_gives_the_same_ids_for_a_normalised_caption(
    texts: list[str], transformers_tokenizer: Any
) -> None:
    stored = [normalise_caption(text) for text in texts if "ſ" not in text]  # see the test below
    theirs = transformers_tokenizer(stored)["input_ids"]
    differ = [text for text, ids in zip(stored, theirs, strict=True) if ids != encode(text)]
    assert not differ, f"{len(differ)} of {len(stored)}, first: {differ[:3]}"


def test_a_text_that_is_taken_as_it_stands_needs_no_repair(texts: list[str]) -> None:
    pieces = [chr(code) for code in range(0x110)] + ["  ", "&amp;", "<|endoftext|>", "a"]
    drawn = ["".join(random.Random(seed).choices(pieces, k=seed % 7)) for seed in range(5000)]
    plain = [value for value in (*drawn, *texts) if _is_plain(value)]
    assert len(plain) > 1000 and not any(map(_NEEDS_REPAIR.search, plain))
    by_the_long_way = [" ".join(_CLIP_MARKERS.sub(" ", value).split()) for value in plain]
    assert list(map(normalise_caption, plain)) == list(map(normalise_caption, by_the_long_way))
