"""The value of an option is what the user typed."""

from __future__ import annotations

from typing import Any

import pytest

from lrs2m_builder.engines._options import parse_options
from lrs2m_builder.errors import UserError


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        # numbers, as JSON or Python writes them
        ("temperature=1e-1", 0.1),
        ("top_p=.5", 0.5),
        ("top_p=5.", 5.0),
        ("top_k=+1", 1),
        ("top_k=-1", -1),
        ("timeout_s=1E3", 1000.0),
        ("max_pixels=0", 0),
        # words
        ("trust_remote_code=true", True),
        ("trust_remote_code=True", True),
        ("seed=null", None),
        ("max_tokens=None", None),
        # texts that YAML or a comment sign would make something else of
        ("stop=###", "###"),
        ("stop=User:", "User:"),
        ("stop==", "="),
        ("stop=a=b", "a=b"),
        ("stop=", ""),
        ("stop=~", "~"),
        ("stop= ", " "),
        ("stop=\n", "\n"),
        ("stop=1.", "1."),
        ("stop=null", "null"),
        ("stop=[INST]", "[INST]"),
        ("stop={", "{"),
        ("stop=- a", "- a"),
        ("stop=*a", "*a"),
        ("stop=!x", "!x"),
        ("stop=@", "@"),
        ("stop=%", "%"),
        ("revision=0123456", "0123456"),
        ("revision=1234567", "1234567"),
        ("revision=12e4567", "12e4567"),
        ("dtype=no", "no"),
        ("name=1_000", "1_000"),
        ("name=0x10", "0x10"),
        ("name=0o17", "0o17"),
        ("name=012", "012"),
        ("name=2026-01-01", "2026-01-01"),
        ("name=12:30", "12:30"),
        ("name=1e999", "1e999"),
        ("name=.inf", ".inf"),
        ("name=nan", "nan"),
        ("name=on", "on"),
        ("name=y", "y"),
        ("name=.", "."),
        ("name=-", "-"),
        ("name=C:\\models", "C:\\models"),
        ("base_url=http://h:1/v1", "http://h:1/v1"),
        ('name="12"', "12"),
        ('stop="a\\nb"', "a\nb"),
        ('name="', '"'),
        # lists and maps
        ('stop=["###", "User:"]', ["###", "User:"]),
        ("limit_mm_per_prompt={image: 1, video: 0}", {"image": 1, "video": 0}),
        ('chat_template_kwargs={"enable_thinking": false}', {"enable_thinking": False}),
        (
            "kwargs={effort: no, at: 12:30, day: 2026-01-01}",
            {"effort": "no", "at": "12:30", "day": "2026-01-01"},
        ),
        ("stop_token_ids=[1, 2]", [1, 2]),
        ("hf_overrides={a: {b: [1e-1, 012, '3', ~]}}", {"a": {"b": [0.1, "012", "3", "~"]}}),
    ],
)
def test_a_value_is_read_as_it_was_typed(typed: str, value: Any) -> None:
    parsed = next(iter(parse_options("--sampling", [typed]).values()))
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(
    "typed", ["a=[1", "a={b: [}", "a=[&x [*x]]", "a=[!!python/name:os.system x]", "=1", "a", "a={b: !!set {c}}"]
)
def test_what_is_no_value_is_said_in_one_line(typed: str) -> None:
    with pytest.raises(UserError, match="--sampling") as caught:
        parse_options("--sampling", [typed])
    assert "\n" not in str(caught.value)


def test_dashes_in_a_name_are_underscores() -> None:
    assert parse_options("--sampling", ["top-k=3"]) == {"top_k": 3}
