"""Samples as rows of Parquet, and back: the columns of a plan file."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa

from lrs2m_builder.errors import storable
from lrs2m_builder.schema import NOWHERE, Anchor, ImageRef, Place, Sample, TableCell, TarMember
from lrs2m_builder.sources._state import below

SAMPLE_SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("image_name", pa.string()),
        ("image_file", pa.binary()),  # a path, or the tar or table that holds the image; null if none was found
        ("image_inside", pa.binary()),  # the member of a tar, the column of a table
        ("image_at", pa.int64()),  # the first byte, or the row
        ("image_size", pa.int64()),  # bytes; null in a table
        ("captions", pa.list_(pa.string())),
        ("caption_long", pa.string()),
        ("label", pa.string()),
        ("anchors", pa.string()),  # JSON: [[name, count, boxes], ...]; empty without anchors
        ("no_anchors", pa.string()),  # JSON: [reason, detail]
        ("problem", pa.string()),
        ("place", pa.string()),  # JSON: what is known of it, its geometry in hexadecimal digits
        ("size", pa.string()),  # JSON: [width, height] of an image with boxes, in pixels
    ]
)
_TEXTS = ("caption_long", "anchors", "label", "no_anchors", "problem", "place", "size")
_IMAGE = ("image_file", "image_inside", "image_at", "image_size")


def to_table(samples: Sequence[Sample], data_dir: Path) -> pa.Table:
    """Samples of one subset as a table; paths below the data folder are stored relative to it."""
    images = zip(*(_from_ref(sample.image_path, data_dir) for sample in samples), strict=True)
    columns: dict[str, Any] = {
        "sample_id": [sample.sample_id for sample in samples],
        "image_name": [sample.image_name for sample in samples],
        **dict(zip(_IMAGE, images, strict=True)),
        "captions": [sample.captions for sample in samples],
        "caption_long": [sample.caption_long for sample in samples],
        "label": [sample.label for sample in samples],
        "anchors": [_from_anchors(sample.anchors) if sample.anchors else "" for sample in samples],
        "no_anchors": [_from_pair(sample.no_anchors) for sample in samples],
        "problem": [_from_pair(sample.problem) for sample in samples],
        "place": [_from_place(sample.place) for sample in samples],
        "size": [sample.image_size and json.dumps(sample.image_size) for sample in samples],
    }
    return pa.table([pa.array(columns[field.name], field.type) for field in SAMPLE_SCHEMA], schema=SAMPLE_SCHEMA)


def from_table(table: pa.Table, subset: str, data_dir: Path) -> list[Sample]:
    """The samples of a table that `to_table` made."""
    lists = {name: table[name].to_pylist() for name in table.column_names if name != "captions"}
    captions = chain.from_iterable(map(_tuples, table["captions"].chunks))
    images = zip(*(lists[name] for name in _IMAGE), strict=True)
    texts = zip(*(lists[name] for name in _TEXTS), strict=True)
    return [
        Sample(
            sample_id=sample_id,
            subset=subset,
            image_name=name,
            image_path=_ref(image, data_dir),
            captions=short,
            caption_long=long,
            anchors=_to_anchors(anchors) if anchors else (),
            label=label,
            no_anchors=_to_pair(no_anchors),
            problem=_to_pair(problem),
            place=NOWHERE if place is None else _to_place(place),
            image_size=None if size is None else _to_size(size),
        )
        for sample_id, name, image, short, (long, anchors, label, no_anchors, problem, place, size) in zip(
            lists["sample_id"], lists["image_name"], images, captions, texts, strict=True
        )
    ]


def _tuples(lists: pa.ListArray) -> list[tuple[str, ...]]:
    """Lists of texts as tuples; four times as fast as `to_pylist`."""
    texts = lists.values.to_pylist()
    return [tuple(texts[start:end]) for start, end in pairwise(lists.offsets.to_pylist())]


def _from_ref(ref: ImageRef | None, data_dir: Path) -> tuple[bytes | None, bytes | None, int | None, int | None]:
    match ref:
        case None:
            return None, None, None, None
        case Path():
            return os.fsencode(below(ref, data_dir)), None, None, None
        case TarMember(archive, name, offset, size):
            return os.fsencode(below(archive, data_dir)), os.fsencode(name), offset, size
        case TableCell(table, column, row):
            return os.fsencode(below(table, data_dir)), os.fsencode(column), row, None
    raise TypeError(f"an image of a source is in a file, not {type(ref).__name__}")


def _ref(image: Sequence[Any], data_dir: Path) -> ImageRef | None:
    file, inside, at, size = image
    if file is None:
        return None
    path = data_dir / os.fsdecode(file)
    if inside is None:
        return path
    return TableCell(path, os.fsdecode(inside), at) if size is None else TarMember(path, os.fsdecode(inside), at, size)


def _from_anchors(anchors: Sequence[Anchor]) -> str:
    """JSON keeps counts of any size and the exact value of each float."""
    return json.dumps([(anchor.name, anchor.count, anchor.boxes) for anchor in anchors])


def _to_anchors(text: str) -> tuple[Anchor, ...]:
    return tuple(Anchor(name, count, tuple(map(tuple, boxes))) for name, count, boxes in json.loads(text))


def _from_pair(pair: tuple[str, str] | None) -> str | None:
    return pair and json.dumps([storable(text) for text in pair])


def _to_pair(text: str | None) -> tuple[str, str] | None:
    if text is None:
        return None
    reason, detail = json.loads(text)
    return reason, detail


def _to_size(text: str) -> tuple[int, int]:
    width, height = json.loads(text)
    return width, height


def _from_place(place: Place) -> str | None:
    if place is NOWHERE or place == NOWHERE:
        return None
    known = {name: value for name in Place.__dataclass_fields__ if (value := getattr(place, name)) is not None}
    if place.geometry is not None:
        known["geometry"] = place.geometry.hex()
    if place.datetime is not None:
        known["datetime"] = place.datetime.isoformat()
    return json.dumps(known)


def _to_place(text: str) -> Place:
    known = json.loads(text)
    if "geometry" in known:
        known["geometry"] = bytes.fromhex(known["geometry"])
    if "datetime" in known:
        known["datetime"] = dt.datetime.fromisoformat(known["datetime"])
    if "bbox" in known:
        known["bbox"] = tuple(known["bbox"])
    return Place(**known)
