"""Finish reasons of any server become a few words of ours."""

from __future__ import annotations

from typing import Any

import pytest

from lrs2m_builder.engines._base import normal_finish


@pytest.mark.parametrize(
    "reason",
    [
        "length",
        "max_tokens",
        "MAX_TOKENS",
        "maxTokens",
        "model_length",
        "token_limit",
        "max_output_tokens",
        "FINISH_REASON_MAX_TOKENS",
        "FinishReason.MAX_TOKENS",
        "model_context_window_exceeded",
        "context-length-exceeded",
        "Token limit reached",
        "limit",
        "truncated",
        {"type": "length", "length": 400},
    ],
)
def test_a_cut_answer_is_length_whatever_a_server_calls_it(reason: Any) -> None:
    assert normal_finish(reason) == "length"


@pytest.mark.parametrize(
    ("reason", "normal"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        (None, "stop"),
        ("", "stop"),
        ({"type": "stop", "matched": 2}, "stop"),
        ("toolCalls", "tool_calls"),
        ("content_filter", "content_filter"),
        ("eos_token", "eos_token"),
        ("rate_limit", "rate_limit"),
        (0, "0"),
        (float("nan"), "nan"),
        ("st\ud83dop", "st_op"),
        ("\x1b[2J", "2_j"),
        ("\ud83d", "unknown"),
        (["stop"], "unknown"),
        ({}, "unknown"),
    ],
)
def test_another_reason_keeps_its_words_in_snake_case(reason: Any, normal: str) -> None:
    assert normal_finish(reason) == normal


def test_a_reason_of_any_length_has_at_most_64_characters() -> None:
    assert len(normal_finish("x" * 1_000_000)) == 64
