"""What a model of the filtering experiment finds on unseen scenes: image by image, so that models compare in pairs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from lrs2m_builder.clip.encode import Features, encode_images, encode_texts
from lrs2m_builder.clip.model import Loaded
from lrs2m_builder.dataset.tables import record_files
from lrs2m_builder.evals.ranks import image_to_text, text_to_image
from lrs2m_builder.evals.retrieval import KS
from lrs2m_builder.images.files import image_ref
from lrs2m_builder.images.load import decode
from lrs2m_builder.sample.drawing.scene import draw_scene
from lrs2m_builder.sample.false_texts import write_false_texts
from lrs2m_builder.sample.texts import write_texts

Hits = Mapping[str, NDArray[np.float64]]  # by test, one value in 0 .. 1 per image; their mean is the test's result
TESTS = {
    "long": "long-text retrieval, mR",
    "short": "short-text retrieval, mR",
    "classes": "classification",
    "twins": "true before false text",
}
TWIN_SEED = 3  # other scenes than those of the trainings and of the other tests
TEMPLATE = "a satellite photo of {}"


def measure(loaded: Loaded, pairs: Path, num_twins: int) -> Hits:
    """Measure on a build with one long and one short text and a label per image, and on further scenes.

    Args:
        num_twins: scenes whose true long text is compared with a false one.

    Returns:
        long, short: of each image the mean of its six recalls: at 1, 5 and 10, from text to image and back.
        classes: whether its kind of scene is the most similar of all.
        twins: whether the true long text is more similar than the same text with an error; by chance half of them.
    """
    rows = [row for file in record_files(pairs) for row in _rows(file)]
    image_ND = encode_images(loaded, [decode(image_ref(row["image"])) for row in rows], show_progress=False)
    hits = {kind: _recalls(loaded, [row[f"caption_{kind}"] for row in rows], image_ND) for kind in ("long", "short")}
    names = sorted({row["label"] for row in rows})
    class_CD = encode_texts(loaded, [TEMPLATE.format(name) for name in names], show_progress=False)
    found = (image_ND @ class_CD.T).argmax(1)
    right = np.array([names.index(row["label"]) for row in rows])
    return {**hits, "classes": (found == right).astype(np.float64), "twins": _twins(loaded, num_twins)}


@cache
def _twin_texts(count: int) -> tuple[list[Image.Image], list[str], list[str]]:
    """Images, their true long texts, and the same texts with an error."""
    images, true, false = [], [], []
    random = np.random.default_rng(TWIN_SEED)
    for index in range(count):
        scene = draw_scene(TWIN_SEED, index)
        if (made := write_false_texts(scene, random)) is not None:
            images.append(scene.image)
            true.append(write_texts(scene).long)
            false.append(made.texts.long)
    return images, true, false


def _twins(loaded: Loaded, count: int) -> NDArray[np.float64]:
    images, *texts = _twin_texts(count)
    image_ND = encode_images(loaded, images, show_progress=False)
    true_N, false_N = ((image_ND * encode_texts(loaded, each, show_progress=False)).sum(1) for each in texts)
    hits_N: NDArray[np.float64] = (true_N > false_N).astype(np.float64)
    return hits_N


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
