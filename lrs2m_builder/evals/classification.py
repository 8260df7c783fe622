"""ZIC: zero-shot classification of scenes, as the share of images whose class has the nearest text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrs2m_builder.clip.encode import Features, encode_images, encode_texts
from lrs2m_builder.clip.model import Loaded
from lrs2m_builder.evals.classes import ClassSet, class_numbers
from lrs2m_builder.evals.data import EvalImage

NUM_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Classification:
    """The outcome of a classification.

    Attributes:
        confusion: (C, C) numbers of images; one row per true class, one column per predicted class.
    """

    accuracy: float
    interval: tuple[float, float]
    classes: tuple[str, ...]
    confusion: NDArray[np.int64]


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
    """Classify the images by the nearest text; of equal scores, the first class is predicted.

    Args:
        lines: templates with `{class_name}`.

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
    """One row per class that has images: their number, the accuracy, and the class it is most often confused with."""
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
