"""The words and patterns of the checks are data: one YAML file per check in `checks/lexicon/`.

A file holds `words` (sets, written in one text), `lists`, and `patterns`: regular expressions that begin with their
flags. In a pattern, `{year}` stands for the part of that name in the file or in `parts.yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml

T = TypeVar("T")
_FOLDER = Path(__file__).parent.parent / "lexicon"
_PART = re.compile(r"\{([a-z_]+)\}")


def word_sets(file: str) -> Mapping[str, frozenset[str]]:
    """The sets of words of a file, by name."""
    return {name: frozenset(words.split()) for name, words in _content(file)["words"].items()}


def phrases(file: str, name: str) -> tuple[str, ...]:
    """A list of phrases of a file."""
    return tuple(_content(file)["lists"][name])


def late_pattern(file: str, name: str, compile_: Callable[[str], T]) -> T:
    """A pattern of a file, compiled when it is first used: large ones take tenths of a second that few commands need.

    Args:
        compile_: `re.compile` or `regex.compile`.
    """
    return cast("T", _Late(lambda: compile_(_source(file, name))))


class _Late:
    """Lazy proxy: calls the function on first use."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> Any:
        return self._make()

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._made, name)
        setattr(self, name, value)
        return value


@cache
def _content(file: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((_FOLDER / f"{file}.yaml").read_text(encoding="utf-8"))
    return content


def _source(file: str, name: str) -> str:
    parts = _content("parts")["parts"] | _content(file).get("parts", {})

    def filled(text: str) -> str:
        return _PART.sub(lambda found: filled(parts[found[1]]).rstrip("\n"), text)

    return filled(_content(file)["patterns"][name])
