"""ZCRS and ZCRL: zero-shot retrieval of images by texts and of texts by images, as recalls.

The protocol of Karpathy and Fei-Fei (2015) as the paper uses it: for a text its own image is the only right answer,
equal texts of other images are wrong; for an image any of its texts is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrs2m_builder.clip.encode import Features, encode_images, encode_texts
from lrs2m_builder.clip.model import Loaded
from lrs2m_builder.errors import UserError
from lrs2m_builder.evals.data import EvalImage
from lrs2m_builder.evals.ranks import Numbers, Ranks, image_to_text, text_to_image
from lrs2m_builder.evals.variants import VARIANTS, length_bins
from lrs2m_builder.tokenizer import encode

KS = (1, 5, 10)
NUM_RESAMPLES = 1000
INTERVAL = 95  # percent


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What a retrieval found.

    Attributes:
        metrics: t2i_r1 ... i2t_r10 and mr, as fractions.
        optimistic: the same with equal scores in favour of the right answer.
        intervals: [low, high] of each metric, from resampled images.
    """

    metrics: Mapping[str, float]
    optimistic: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    ranks: tuple[Ranks, Ranks]


def evaluate(
    loaded: Loaded,
    images: Sequence[EvalImage],
    *,
    lengths: bool = False,
    robustness: bool = False,
    seed: int = 0,
    workers: int | None = None,
    show_progress: bool = True,
) -> tuple[Retrieval, dict[str, Any]]:
    """Encode and retrieve; the result, and what `lrs2m eval` writes as its details.

    Args:
        lengths: recalls at 1 for texts of similar length, the data of the paper's Figure 3.
        robustness: also with texts whose sentences are in another order, and without their first sentence.

    Raises:
        UserError: an image has no text or cannot be read.
    """
    texts, owners = _texts(images)
    image_features = encode_images(
        loaded, [each.image for each in images], workers=workers, show_progress=show_progress
    )
    device = str(next(loaded.model.parameters()).device)

    def retrieve(texts: Sequence[str]) -> Retrieval:
        features = _encode_distinct(loaded, texts, show_progress)
        return score(image_features, features, owners, seed=seed, device=device)

    found = retrieve(texts)
    num_tokens = np.array([len(encode(text)) for text in texts])
    details: dict[str, Any] = {
        "intervals": dict(found.intervals),
        "num_cut": int((num_tokens > loaded.context_length).sum()),
        "mean_tokens": float(num_tokens.mean()),
    }
    if found.optimistic != found.metrics:
        details["optimistic"] = dict(found.optimistic)
    if lengths:
        hits = [found.ranks[0].first == 1, found.ranks[1].first == 1]
        details["lengths"] = [asdict(each) for each in length_bins(num_tokens, owners, hits[0], hits[1])]
    if robustness:
        for name, change in VARIANTS.items():
            changed = [change(text, seed) for text in texts]
            variant = retrieve(changed)
            same = sum(new == old for new, old in zip(changed, texts, strict=True))
            details[name] = {
                "metrics": dict(variant.metrics),
                "intervals": dict(variant.intervals),
                "unchanged_texts": same,
            }
    return found, details


def score(images: Features, texts: Features, owners: Numbers, *, seed: int = 0, device: str = "cpu") -> Retrieval:
    """Recalls of features of unit length.

    Args:
        images, texts: (N, D) and (T, D).
        owners: (T,) number of each text's image.
    """
    ranks = (
        text_to_image(texts, images, owners, device=device),
        image_to_text(images, texts, owners, device=device),
    )
    return Retrieval(
        metrics=recalls(ranks[0].first, ranks[1].first),
        optimistic=recalls(ranks[0].optimistic, ranks[1].optimistic),
        intervals=_intervals(ranks[0].first, ranks[1].first, owners, seed),
        ranks=ranks,
    )


def _texts(images: Sequence[EvalImage]) -> tuple[list[str], Numbers]:
    """All texts, and (T,) the number of the image of each."""
    bare = [each.name for each in images if not each.texts]
    if bare:
        raise UserError(f"{len(bare)} of {len(images)} images have no text to be found by, such as {bare[0]}")
    texts = [text for each in images for text in each.texts]
    return texts, np.repeat(np.arange(len(images)), [len(each.texts) for each in images])


def _encode_distinct(loaded: Loaded, texts: Sequence[str], show_progress: bool) -> Features:
    """Each distinct text once: in another batch, a text's feature would differ in its last bits and break a tie."""
    distinct = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    features = encode_texts(loaded, list(distinct), show_progress=show_progress)
    return features[[distinct[text] for text in texts]]


def recalls(t2i: Numbers, i2t: Numbers) -> dict[str, float]:
    found = {f"t2i_r{k}": float((t2i <= k).mean()) for k in KS} | {f"i2t_r{k}": float((i2t <= k).mean()) for k in KS}
    return found | {"mr": sum(found.values()) / len(found)}


def _intervals(t2i: Numbers, i2t: Numbers, owners: Numbers, seed: int) -> dict[str, tuple[float, float]]:
    """Percentiles of the recalls over images drawn with replacement, each with its texts; ranks stay as they are."""
    num_images = len(i2t)
    num_texts = np.bincount(owners, minlength=num_images).astype(np.float64)
    text_hits = np.stack([np.bincount(owners, t2i <= k, minlength=num_images) for k in KS])
    image_hits = np.stack([(i2t <= k).astype(np.float64) for k in KS])
    random = np.random.default_rng(seed)
    drawn: list[NDArray[np.float64]] = []
    for _ in range(NUM_RESAMPLES):
        times = np.bincount(random.integers(num_images, size=num_images), minlength=num_images).astype(np.float64)
        six = np.concatenate([text_hits @ times / (num_texts @ times), image_hits @ times / num_images])
        drawn.append(np.append(six, six.mean()))
    tail = (100 - INTERVAL) / 2
    low, high = np.percentile(np.stack(drawn), [tail, 100 - tail], axis=0)
    names = [f"t2i_r{k}" for k in KS] + [f"i2t_r{k}" for k in KS] + ["mr"]
    return {name: (float(low[number]), float(high[number])) for number, name in enumerate(names)}
