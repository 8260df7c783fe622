"""Recall at k on held-out pairs, which shows during training whether a model generalises.

Rows that hold the same image are one image with several texts, as in UCM-Captions; a text finds its image, an image
any of its texts. N images, T texts, D width of the features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor

from lrs2m_builder.clip.encode import Features
from lrs2m_builder.clip.model import Loaded, encode_image, encode_text
from lrs2m_builder.dataset.foreign import check_pairs, plain_rows, reading
from lrs2m_builder.dataset.tables import record_files
from lrs2m_builder.errors import SampleError, UserError, one_line
from lrs2m_builder.evals.ranks import Numbers, image_to_text, text_to_image
from lrs2m_builder.evals.retrieval import recalls
from lrs2m_builder.images.files import image_ref
from lrs2m_builder.images.load import decode
from lrs2m_builder.train.loading import image_key

Text = Literal["long", "short"]
KINDS: tuple[Text, ...] = ("long", "short")
COLUMNS = ("image", *(f"caption_{kind}" for kind in KINDS))


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one kind, and the number of the image that each belongs to."""

    texts: tuple[str, ...]
    image_T: Numbers


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Pairs that are not trained on, each image once and scaled for the model.

    Attributes:
        pixels_NCHW: float16, half of what they would take otherwise.
    """

    pixels_NCHW: Tensor
    texts: dict[Text, Texts]


def read_held_out(paths: Sequence[Path], loaded: Loaded, *, image_dir: Path | None = None) -> HeldOut:
    """Read pairs of Parquet files, each image once, with those of the two texts that they have.

    Raises:
        UserError: fewer than two images or no text, or a file or an image that cannot be read.
    """
    number_of: dict[bytes, int] = {}
    pixels: list[Tensor] = []
    texts: dict[Text, list[tuple[str, int]]] = {kind: [] for kind in KINDS}
    for where, row in _rows(paths):
        key = hashlib.sha256(image_key(row["image"])).digest()
        if key not in number_of:
            try:
                image = decode(image_ref(row["image"], image_dir))
            except SampleError as error:
                raise UserError(f"{where}: the image of a held-out pair cannot be read ({one_line(error)})") from error
            number_of[key] = len(pixels)
            pixels.append(loaded.transform(image).half())
        for kind in KINDS:
            if text := row.get(f"caption_{kind}"):
                texts[kind].append((text, number_of[key]))
    if len(pixels) < 2 or not any(texts.values()):
        raise UserError(f"{', '.join(map(str, paths))}: fewer than two held-out pairs; give others")
    made = {
        kind: Texts(tuple(text for text, _ in pairs), np.array([number for _, number in pairs]))
        for kind, pairs in texts.items()
        if pairs
    }
    return HeldOut(torch.stack(pixels), made)


def measure_recall(loaded: Loaded, held_out: HeldOut, *, batch_size: int = 64) -> dict[str, float]:
    """Recalls in 0 .. 1 for each kind of text, by names such as "long_t2i_r1" (text to image, R@1)."""
    device = next(loaded.model.parameters()).device
    was_training = loaded.model.training
    loaded.model.eval()
    with torch.inference_mode():
        image_ND = _encoded(held_out.pixels_NCHW.split(batch_size), loaded, device).numpy()
        measured: dict[str, float] = {}
        for kind, texts in held_out.texts.items():
            # Alike lengths together, so that little is padded; then back in their order.
            order = sorted(range(len(texts.texts)), key=lambda number: len(texts.texts[number]))
            parts = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
            ids = (loaded.tokenize([texts.texts[number] for number in part], trim=True) for part in parts)
            text_TD = _encoded(ids, loaded, device)[torch.tensor(order).argsort()]
            found = _recalls(image_ND, text_TD.numpy(), texts.image_T)
            measured |= {f"{kind}_{name}": value for name, value in found.items()}
    loaded.model.train(was_training)
    return measured


def _recalls(image_ND: Features, text_TD: Features, image_T: Numbers) -> dict[str, float]:
    """Recalls among all images; an image without a text of the kind is a candidate but not a query."""
    owners, image_of_T = np.unique(image_T, return_inverse=True)
    t2i = text_to_image(text_TD, image_ND, image_T)
    i2t = image_to_text(image_ND[owners], text_TD, image_of_T)
    return recalls(t2i.first, i2t.first)


def _encoded(batches: Any, loaded: Loaded, device: torch.device) -> Tensor:
    """Features of all batches on the CPU: batches of floats are images, others texts."""
    features = []
    for batch in batches:
        encode = encode_image if batch.is_floating_point() else encode_text
        features.append(encode(loaded.model, batch.to(device, torch.float32 if batch.is_floating_point() else None)))
    return torch.cat(features).float().cpu()


def _rows(paths: Sequence[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the file of each row, and its image and texts."""
    files = [file for given in paths for file in record_files(given)]
    check_pairs(files, uses=COLUMNS[1:])
    for path in files:
        with reading(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
            columns = [name for name in COLUMNS if name in file.schema_arrow.names]
            if len(columns) == 1:
                raise UserError(f"{path}: held-out pairs need the column image and one of {', '.join(COLUMNS[1:])}")
            for batch in file.iter_batches(64, columns=columns, use_threads=False):
                yield from ((str(path), row) for row in plain_rows(batch, path))
