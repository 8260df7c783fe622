"""ZIC: zero-shot classification of scenes, as the share of images whose class has the nearest text."""

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

from lrs2m_builder.clip.model import Loaded
from lrs2m_builder.errors import UserError
from lrs2m_builder.evals.data import EvalImage
from lrs2m_builder.evals.encode import Features, encode_images, encode_texts
from lrs2m_builder.text import plain_words

CLASSES_PATH = Path(__file__).with_name("classes.yaml")
NUM_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class ClassSet:
    """A list of classes.

    Attributes:
        title: the set's name, as the paper writes it.
        hub: a data set of the Hub with columns image and label; "" where none is known.
        images: what the paper's figures imply; 0 where it is no set of the paper.
        aliases: other names of classes.
    """

    title: str
    classes: Sequence[str]
    hub: str = ""
    images: int = 0
    aliases: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Classification:
    """What was found.

    Attributes:
        confusion: (C, C) numbers of images, a row a true class, a column the class that was said.
    """

    accuracy: float
    interval: tuple[float, float]
    classes: tuple[str, ...]
    confusion: NDArray[np.int64]


@cache
def class_sets() -> Mapping[str, ClassSet]:
    """Every list of classes.yaml by its name."""
    return {name: ClassSet(**facts) for name, facts in _content()["sets"].items()}


@cache
def templates() -> Mapping[str, Sequence[str]]:
    """Every list of templates by its name; `{class_name}` stands for the class."""
    return {name: tuple(lines) for name, lines in _content()["templates"].items()}


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(CLASSES_PATH.read_text(encoding="utf-8"))
    return content


def words(label: str) -> str:
    """A class as a text says it: underscores and slashes to blanks, lower case, CamelCase in words."""
    return plain_words(label.replace("/", " "))


def find_list(labels: Iterable[str]) -> str | None:
    """The name of the list that has exactly these classes, however they are written; None where there is none."""
    wanted = {_key(words(label)) for label in labels}
    for name, known in class_sets().items():
        other = {_key(alias): _key(meant) for alias, meant in (known.aliases or {}).items()}
        if {other.get(label, label) for label in wanted} == set(map(_key, known.classes)):
            return name
    return None


def class_numbers(images: Sequence[EvalImage], known: ClassSet | None) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The classes, and (N,) the number of each image's.

    Args:
        known: None takes the labels of the images themselves as words, in alphabetical order.

    Raises:
        UserError: an image has no label, or one that is not in the list.
    """
    if bare := next((each.name for each in images if not each.label), None):
        raise UserError(f"{bare}: no class; an evaluation of classes needs a folder a class, or a column of labels")
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
    """Names that differ in blanks and letter case alone are the same class: "baseballdiamond" is "baseball diamond"."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def encode_classes(loaded: Loaded, classes: Sequence[str], lines: Sequence[str]) -> Features:
    """(C, D) features of unit length; of several templates, the mean of their features."""
    texts = [line.replace("{class_name}", name) for name in classes for line in lines]
    features = encode_texts(loaded, texts, show_progress=False).reshape(len(classes), len(lines), -1).mean(axis=1)
    found: Features = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    return found


def evaluate(
    loaded: Loaded,
    images: Sequence[EvalImage],
    known: ClassSet | None,
    lines: Sequence[str],
    *,
    seed: int = 0,
    workers: int | None = None,
    show_progress: bool = True,
) -> Classification:
    """Classify the images by the nearest text; of equal scores, the first class is said.

    Args:
        lines: templates with `{class_name}`.
        seed: of the resampling for the interval.

    Raises:
        UserError: a label is not in the list, or an image cannot be read.
    """
    classes, truth = class_numbers(images, known)
    class_features = encode_classes(loaded, classes, lines)
    features = encode_images(loaded, [each.image for each in images], workers=workers, show_progress=show_progress)
    said = (features @ class_features.T).argmax(axis=1)
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (truth, said), 1)
    hits = truth == said
    # Drawing images with replacement makes the number of hits binomial.
    drawn = np.random.default_rng(seed).binomial(len(hits), hits.mean(), NUM_RESAMPLES) / len(hits)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Classification(float(hits.mean()), (float(low), float(high)), classes, confusion)


def class_table(found: Classification) -> list[dict[str, Any]]:
    """A row a class that has images: its number, the share that was recognised, and what the others were taken for."""
    rows = []
    for number, (name, counts) in enumerate(zip(found.classes, found.confusion, strict=True)):
        if not (total := int(counts.sum())):
            continue
        others = counts.copy()
        others[number] = 0
        worst = int(others.argmax())
        rows.append(
            {
                "class": name,
                "images": total,
                "accuracy": float(counts[number] / total),
                "said": int(found.confusion[:, number].sum()),
                "confused_with": found.classes[worst] if others[worst] else None,
                "confused": int(others[worst]),
            }
        )
    return rows
