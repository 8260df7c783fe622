"""The texts of other images that a text is ranked among, drawn from the data set itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrs2m_builder.dataset.foreign import reading
from lrs2m_builder.dataset.tables import open_tables
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import read_json, write_json

_DRAWN = 3  # times as many rows are looked at as texts are wanted: rows share texts


@dataclass(frozen=True, slots=True)
class OtherTexts:
    """Distinct texts, each with the images that it was drawn with."""

    texts: tuple[str, ...]
    images: tuple[frozenset[str], ...]

    @property
    def fingerprint(self) -> str:
        """Changes when a text does."""
        return hashlib.sha256(json.dumps(self.texts).encode()).hexdigest()

    def are_other(self, text: str, image: str) -> NDArray[np.bool_]:
        """Which of them are texts of other images: neither equal to the text nor of its image."""
        pairs = zip(self.texts, self.images, strict=True)
        return np.array([other != text and image not in images for other, images in pairs], bool)


def draw_others(path: Path, column: str, number: int) -> OtherTexts:
    """The texts of rows that a fixed shuffle puts first: the same for the same data, whatever the order of its files.

    Args:
        column: caption_short or caption_long.
    """
    tables = open_tables(path, ("sample_id", column))
    with reading(path):
        types = tables.sql("SELECT * FROM records LIMIT 0")
        kinds = dict(zip(types.columns, map(str, types.types), strict=True))
        keys = ["nullif(image_sha256, '')"] if "image_sha256" in kinds else []
        keys += ["image.path"] if kinds.get("image", "").startswith("STRUCT") else []
        query = f"""SELECT {column}, coalesce({", ".join([*keys, "sample_id"])}) FROM records
            WHERE coalesce({column}, '') <> '' ORDER BY sha256('lrs2m ' || sample_id) LIMIT {_DRAWN * number}"""
        rows = tables.sql(query).fetchall()
    images: dict[str, set[str]] = {}
    for text, image in rows:
        images.setdefault(text, set()).add(image)
    chosen = list(images)[:number]
    return OtherTexts(tuple(chosen), tuple(frozenset(images[text]) for text in chosen))


def read_others(path: Path) -> dict[str, OtherTexts]:
    """Those that an earlier run drew, by column; none if there was no run: ranks stay as they are when texts change.

    Raises:
        UserError: the file cannot be read.
    """
    if not path.exists():
        return {}
    try:
        return {
            column: OtherTexts(tuple(texts), tuple(map(frozenset, texts.values())))
            for column, texts in read_json(path).items()
        }
    except (TypeError, AttributeError) as error:
        raise UserError(f"{path}: holds no texts; was it edited? Remove its folder, or give another --name") from error


def write_others(path: Path, others: Mapping[str, OtherTexts]) -> None:
    """Keep them for later runs."""
    write_json(
        path,
        {
            column: {text: sorted(images) for text, images in zip(each.texts, each.images, strict=True)}
            for column, each in others.items()
        },
    )


def image_name(row: Mapping[str, Any]) -> str:
    """What an image is known by: its hash, the name its source gave it, or its row."""
    image = row.get("image")
    path = image.get("path") if isinstance(image, dict) else None
    return str(row.get("image_sha256") or path or row["sample_id"])


def rank_among(own: NDArray[np.float64], others: NDArray[np.float64], are_other: NDArray[np.bool_]) -> float | None:
    """Where a text is among others for its image, from 0 (best) to 1: (rank - 0.5) / number, ties counted half.

    Args:
        own: its similarity to the image.
        others: the similarities of the others to that image.
    """
    if not are_other.any():
        return None
    found = others[are_other]
    better = (found > own).sum() + (found == own).sum() / 2
    return float((better + 0.5) / (len(found) + 1))
