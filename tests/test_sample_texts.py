"""The texts of the sample world say what its scenes show, and nothing that they do not."""

from __future__ import annotations

import re

from lrs2m_builder.checks import split_words
from lrs2m_builder.checks.base import split_sentences
from lrs2m_builder.sample.drawing.placing import CLASSES
from lrs2m_builder.sample.words import ALSO_CALLED, IN_CELL, NUMBERS
from tests.sample_scenes import NUM_SCENES, world


def test_long_texts_have_the_promised_length() -> None:
    for scene, texts, _ in world():
        assert 60 <= len(split_words(texts.long)) <= 110, (scene.index, texts.long)
        assert 3 <= len(split_sentences(texts.long)) <= 6, (scene.index, texts.long)


def nouns(name: str) -> str:
    """A pattern of the words for a class; a storage tank farm is no storage tank."""
    return rf"(?:{'|'.join(ALSO_CALLED.get(name, (name,)))})s?\b(?! farm)"


def counts_said(name: str, text: str) -> list[str]:
    """The number words and articles that stand before a class, a colour between them or not."""
    words = "|".join([*NUMBERS, "many", "several", "a", "an"])
    return [word.lower() for word in re.findall(rf"\b({words}) (?:\w+ )?{nouns(name)}", text, re.IGNORECASE)]


def holds(word: str, count: int) -> bool:
    if word in NUMBERS:
        return NUMBERS.index(word) == count
    return {"several": 3 <= count <= 7, "many": count >= 8}.get(word, count == 1)


def test_long_texts_name_every_class_with_its_count() -> None:
    for scene, texts, _ in world():
        for name, count in scene.counts.items():
            assert re.search(rf"\b{nouns(name)}", texts.long, re.IGNORECASE), (scene.index, name, texts.long)
            assert count == 1 or counts_said(name, texts.long), (scene.index, name, texts.long)


def test_no_text_gives_a_wrong_count() -> None:
    checked = 0
    for scene, texts, _ in world():
        for text in (texts.long, texts.short, *texts.captions):
            for name, count in scene.counts.items():
                for word in counts_said(name, text):
                    assert holds(word, count), (scene.index, word, name, text)
                    checked += 1
    assert checked > 10 * NUM_SCENES


def test_no_text_names_a_class_that_is_not_there() -> None:
    for scene, texts, _ in world():
        for text in (texts.long, texts.short, *texts.captions):
            for name in set(CLASSES) - set(scene.counts):
                assert not re.search(rf"\b{nouns(name)}", text, re.IGNORECASE), (scene.index, name, text)


def test_a_place_said_of_a_single_object_is_its_place() -> None:
    phrases, checked = "|".join(IN_CELL.values()), 0
    for scene, texts, _ in world():
        for name, count in scene.counts.items():
            pattern = rf"\b(?:one|the|a) (?:\w+ )?{name} (?:is|is seen|is visible|lies|stands) ({phrases})"
            for text in (texts.long, *texts.captions):
                for place in re.findall(pattern, text, re.IGNORECASE) if count == 1 else ():
                    assert IN_CELL[scene.of(name)[0].cell] == place, (scene.index, text)
                    checked += 1
    assert checked > NUM_SCENES


def test_there_are_five_different_captions_and_a_short_text_of_twenty_words() -> None:
    for scene, texts, _ in world():
        assert len(set(texts.captions)) == 5, scene.index
        assert 2 <= len(split_words(texts.short)) <= 20
