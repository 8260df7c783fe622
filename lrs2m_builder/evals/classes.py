"""Lists of classes and of sentences for them, and the class that a label means; needs no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from lrs2m_builder.errors import UserError
from lrs2m_builder.evals.data import EvalImage
from lrs2m_builder.text import plain_words

CLASSES_PATH = Path(__file__).with_name("classes.yaml")


@dataclass(frozen=True, slots=True)
class ClassSet:
    """A list of classes.

    Attributes:
        title: the set's name, as the paper writes it.
        hub: a data set of the Hub with columns image and label; "" if none is known.
        images: their number, as the paper's figures imply; 0 if it is not a set of the paper.
        aliases: other names of classes.
    """

    title: str
    classes: Sequence[str]
    hub: str = ""
    images: int = 0
    aliases: Mapping[str, str] | None = None


@cache
def class_sets() -> Mapping[str, ClassSet]:
    """Every list of classes.yaml by its name."""
    return {name: ClassSet(**facts) for name, facts in _content()["sets"].items()}


@cache
def templates() -> Mapping[str, Sequence[str]]:
    """Every list of templates by its name; `{class_name}` is replaced by the class."""
    return {name: tuple(lines) for name, lines in _content()["templates"].items()}


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(CLASSES_PATH.read_text(encoding="utf-8"))
    return content


def words(label: str) -> str:
    """A class name in words: underscores and slashes to blanks, lower case, CamelCase in words."""
    return plain_words(label.replace("/", " "))


def find_list(labels: Iterable[str]) -> str | None:
    """The name of the list that has exactly these classes, regardless of spaces and case; None if no list has."""
    wanted = {_key(words(label)) for label in labels}
    for name, known in class_sets().items():
        other = {_key(alias): _key(meant) for alias, meant in (known.aliases or {}).items()}
        if {other.get(label, label) for label in wanted} == set(map(_key, known.classes)):
            return name
    return None


def class_numbers(images: Sequence[EvalImage], known: ClassSet | None) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The classes, and (N,) the class number of each image.

    Args:
        known: None takes the labels of the images themselves as words, in alphabetical order.

    Raises:
        UserError: an image has no label, or one that is not in the list.
    """
    if bare := next((each.name for each in images if not each.label), None):
        raise UserError(f"{bare}: no class; classification needs one folder per class, or a column of labels")
    labels = [words(each.label) for each in images]
    classes = tuple(known.classes) if known else tuple(sorted(set(labels)))
    number_of = {_key(name): number for number, name in enumerate(classes)}
    if known and known.aliases:
        number_of |= {_key(alias): number_of[_key(name)] for alias, name in known.aliases.items()}
    if strange := sorted({label for label in labels if _key(label) not in number_of}):
        raise UserError(
            f"no such class in {known.title if known else 'the list'}: {', '.join(strange[:5])}"
            f"{f' and {len(strange) - 5} more' if len(strange) > 5 else ''}; it has {', '.join(classes)}"
        )
    return classes, np.array([number_of[_key(label)] for label in labels], np.int64)


def _key(name: str) -> str:
    """Names that differ only in spaces and case are the same class: "baseballdiamond" is "baseball diamond"."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
