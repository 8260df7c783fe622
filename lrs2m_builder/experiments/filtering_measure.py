"""What a model of the filtering experiment finds on unseen scenes: image by image, so that models compare in pairs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lrs2m_builder.clip.encode import Features, encode_images, encode_texts
from lrs2m_builder.clip.model import Loaded
from lrs2m_builder.dataset.tables import record_files
from lrs2m_builder.evals.ranks import image_to_text, text_to_image
from lrs2m_builder.evals.retrieval import KS
from lrs2m_builder.images.files import image_ref
from lrs2m_builder.images.load import decode

Hits = Mapping[str, NDArray[np.float64]]  # by test, one value in 0 .. 1 per image; their mean is the test's result
TESTS = {"long": "long-text retrieval, mR", "short": "short-text retrieval, mR", "classes": "classification"}
TEMPLATE = "a satellite photo of {}"


def measure(loaded: Loaded, pairs: Path) -> Hits:
    """Measure on a build with one long and one short text and a label per image.

    Returns:
        long, short: of each image the mean of its six recalls: at 1, 5 and 10, from text to image and back.
        classes: whether its kind of scene is the most similar of all.
    """
    rows = [row for file in record_files(pairs) for row in _rows(file)]
    image_ND = encode_images(loaded, [decode(image_ref(row["image"])) for row in rows], show_progress=False)
    hits = {kind: _recalls(loaded, [row[f"caption_{kind}"] for row in rows], image_ND) for kind in ("long", "short")}
    names = sorted({row["label"] for row in rows})
    class_CD = encode_texts(loaded, [TEMPLATE.format(name) for name in names], show_progress=False)
    found = (image_ND @ class_CD.T).argmax(1)
    right = np.array([names.index(row["label"]) for row in rows])
    return {**hits, "classes": (found == right).astype(np.float64)}


def _rows(file: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(
        file, columns=["image", "caption_long", "caption_short", "label"]
    ).to_pylist()
    return rows


def _recalls(loaded: Loaded, texts: list[str], image_ND: Features) -> NDArray[np.float64]:
    text_ND = encode_texts(loaded, texts, show_progress=False)
    owners = np.arange(len(texts))
    ranks = (text_to_image(text_ND, image_ND, owners).first, image_to_text(image_ND, text_ND, owners).first)
    recalls_N: NDArray[np.float64] = np.mean([rank <= k for rank in ranks for k in KS], axis=0)
    return recalls_N
