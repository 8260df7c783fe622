"""Marks around the whole of an answer are taken off before it is judged and stored."""

from __future__ import annotations

import pytest

from lrs2m_builder.text import without_wrapping, wrapping

TEXT = "A pond lies beside the owner's house, and ducks swim on it."


@pytest.mark.parametrize(
    "answer",
    [
        f'"{TEXT}"',
        f"“{TEXT}”",
        f"'{TEXT}'",
        f"«{TEXT}»",
        f"assistant\n{TEXT}",
        f"Assistant: {TEXT}",
        f"<|im_start|>assistant\n{TEXT}",
        f"```text\n{TEXT}\n```",
        f"<caption>{TEXT}</caption>",
        f"**{TEXT}**",
        f'assistant\n\n"{TEXT}"\n',
    ],
)
def test_marks_around_an_answer_are_taken_off(answer: str) -> None:
    assert wrapping(answer)
    assert without_wrapping(answer).strip() == TEXT


@pytest.mark.parametrize(
    "answer",
    [
        TEXT,
        'A sign says "OPEN".',
        '"STOP" is painted on a road that says "STOP"',
        "Model planes stand on a lawn.",
        '"',
        '""',
        "",
    ],
)
def test_an_answer_without_marks_around_it_stays_as_it_is(answer: str) -> None:
    assert without_wrapping(answer) == answer
