"""What both retrievals share: their metrics, and what guessing reaches."""

from __future__ import annotations

import math

_KS = (1, 5, 10)
METRICS = {f"{way}_r{k}": f"{way.upper()} R@{k}" for way in ("t2i", "i2t") for k in _KS} | {"mr": "mR"}


def by_chance(num_images: int, num_texts: int) -> dict[str, float]:
    """Mean recalls of random orders; if images have several texts, each is taken to have the mean number."""
    wrong = num_texts - num_texts / num_images  # of an image's own texts, the others
    recalls: dict[str, float] = {f"t2i_r{k}": min(1.0, k / num_images) for k in _KS}
    for k in _KS:
        miss = math.prod(max(wrong - j, 0.0) / (num_texts - j) for j in range(min(k, num_texts)))
        recalls[f"i2t_r{k}"] = 1 - miss
    return recalls | {"mr": sum(recalls.values()) / len(recalls)}
