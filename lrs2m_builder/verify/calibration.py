"""How good a judge is: what it says of claims whose truth is known, by kind of claim."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrs2m_builder.files import write_json

# Of the true claims, the share that the chosen threshold calls false. False claims are rare: with one in twenty, half
# of the texts of fifteen claims would lose a true one.
LOST = 0.01
LEAST_FOUND = 0.25  # of the false claims; a threshold that finds fewer costs more than it mends
NUM_BINS = 10  # of the calibration error
_EPS = 1e-6


@dataclass(frozen=True, slots=True)
class Measured:
    """A judge on the claims of one kind.

    Attributes:
        num_true, num_false, num_unanswered: claims.
        auroc: the probability that a true claim has a higher score than a false one; ties count half.
        balanced_accuracy: mean of the shares of true and of false claims judged right, at a score of 0.5.
        yes_true, yes_false: share of true and of false claims that it says yes to: its bias.
        mass: mean probability on yes and no together.
        slope, intercept: of the logit of the score, fitted to the truth on one half of the images (Platt scaling).
        ece: expected calibration error on the other half, after it.
        threshold: the score below which a given share of the true claims lies; 0 if that finds too few of the false.
        found: the share of false claims below the score that loses so many of the true ones.
        auroc_off: of numbers, by the distance of the false number from the true one.
        prior_auroc: of the scene class alone, without an image; None without scene classes.
    """

    num_true: int
    num_false: int
    num_unanswered: int
    auroc: float
    balanced_accuracy: float
    yes_true: float
    yes_false: float
    mass: float
    slope: float
    intercept: float
    ece: float
    threshold: float
    found: float
    auroc_off: Mapping[int, float] = field(default_factory=dict)
    prior_auroc: float | None = None


@dataclass(frozen=True, slots=True)
class JudgedLabel:
    """A claim whose truth is known, with what the judge said.

    Attributes:
        image: of which image; the halves of the calibration have no image in common.
    """

    kind: str
    image: str
    is_true: bool
    score: float | None
    mass: float | None = None
    off: int | None = None
    prior: float | None = None


def measure(judged: Sequence[JudgedLabel], lost: float = LOST) -> dict[str, Measured]:
    """The measures of each kind that has true and false claims with a score.

    Args:
        lost: of the true claims, the share that a threshold may call false.
    """
    kinds = dict.fromkeys(label.kind for label in judged)
    return {kind: measured for kind in kinds if (measured := _measure([x for x in judged if x.kind == kind], lost))}


def _measure(labels: Sequence[JudgedLabel], lost: float) -> Measured | None:
    answered = [label for label in labels if label.score is not None]
    truth = np.array([label.is_true for label in answered], bool)
    if not truth.any() or truth.all():
        return None
    score = np.array([label.score for label in answered], float)
    threshold = float(np.quantile(score[truth], lost))
    found = float((score[~truth] < threshold).mean())
    halves = _halves([label.image for label in answered])
    slope, intercept = platt(score[halves], truth[halves])
    p = 1 / (1 + np.exp(-(slope * _logit(score[~halves]) + intercept)))
    offs = np.array([label.off or 0 for label in answered])
    with_prior = [label for label in labels if label.prior is not None]
    prior_truth = np.array([label.is_true for label in with_prior], bool)
    has_prior = len(with_prior) == len(labels) and prior_truth.any() and not prior_truth.all()
    return Measured(
        num_true=int(truth.sum()),
        num_false=int((~truth).sum()),
        num_unanswered=len(labels) - len(answered),
        auroc=auroc(score, truth),
        balanced_accuracy=float(((score[truth] >= 0.5).mean() + (score[~truth] < 0.5).mean()) / 2),
        yes_true=float((score[truth] >= 0.5).mean()),
        yes_false=float((score[~truth] >= 0.5).mean()),
        mass=float(np.mean([label.mass for label in answered if label.mass is not None] or [math.nan])),
        slope=slope,
        intercept=intercept,
        ece=calibration_error(p, truth[~halves]),
        threshold=threshold if found >= LEAST_FOUND else 0.0,
        found=found,
        auroc_off={
            int(off): auroc(score[truth | (offs == off)], truth[truth | (offs == off)])
            for off in sorted(set(offs[~truth]) - {0})
        },
        prior_auroc=auroc(np.array([x.prior for x in with_prior], float), prior_truth) if has_prior else None,
    )


def auroc(score: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """The area under the ROC curve, from ranks; ties count half (Mann and Whitney's U)."""
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    num_true, num_false = int(truth.sum()), int((~truth).sum())
    return float((rank[truth].sum() - num_true * (num_true + 1) / 2) / (num_true * num_false))


def platt(score: NDArray[np.float64], truth: NDArray[np.bool_], steps: int = 50) -> tuple[float, float]:
    """Slope and intercept of the logit by which scores become probabilities, by Newton's method on the log-loss.

    The targets are drawn in from 0 and 1 as Platt (1999) does, so that a perfect separation stays finite.
    """
    num_true, num_false = int(truth.sum()), int((~truth).sum())
    target = np.where(truth, (num_true + 1) / (num_true + 2), 1 / (num_false + 2))
    x = np.stack([_logit(score), np.ones_like(score)], axis=1)
    weights = np.array([1.0, 0.0])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 1e-6 * np.eye(2)
        step = np.linalg.solve(hessian, x.T @ (target - p))
        weights = weights + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    return float(weights[0]), float(weights[1])


def calibration_error(p: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Expected calibration error: the mean distance of probability and share of true claims, over ten equal bins."""
    if not len(p):
        return math.nan
    bins = np.minimum((p * NUM_BINS).astype(int), NUM_BINS - 1)
    errors = [(bins == b).sum() * abs(p[bins == b].mean() - truth[bins == b].mean()) for b in set(bins.tolist())]
    return float(sum(errors) / len(p))


def _halves(images: Sequence[str]) -> NDArray[np.bool_]:
    """Every second image, with all its claims."""
    number = {image: i for i, image in enumerate(dict.fromkeys(images))}
    return np.array([number[image] % 2 == 0 for image in images], bool)


def _logit(score: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(score, _EPS, 1 - _EPS)
    return np.asarray(np.log(clipped / (1 - clipped)))


def write_calibration(path: Path, judge: Mapping[str, Any], measured: Mapping[str, Measured]) -> None:
    """Write calibration.json.

    Raises:
        UserError: the disk fails.
    """
    write_json(path, {"judge": dict(judge), "kinds": {kind: asdict(one) for kind, one in measured.items()}})
