"""Records and rejections as rows of Parquet: their columns, and the metadata for `datasets`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from posixpath import splitext
from typing import Any

import pyarrow as pa

from lrs2m_builder.errors import storable
from lrs2m_builder.images.files import IMAGE_SUFFIXES, RASTER_SUFFIXES
from lrs2m_builder.images.geo_key import BBOX, SIDES
from lrs2m_builder.images.load import StoredImage
from lrs2m_builder.schema import Anchor, Place, Record, Rejection

_ANCHORS = pa.list_(pa.struct([("class", pa.string()), ("count", pa.int32())]))
_PROMPTS = pa.list_(pa.struct([("name", pa.string()), ("sha256", pa.string())]))
_CLAIMS = pa.list_(
    pa.struct(
        [
            ("column", pa.string()),
            ("kind", pa.string()),
            ("words", pa.string()),
            ("start", pa.int32()),
            ("end", pa.int32()),
            ("p", pa.float32()),
        ]
    )
)
_BOXES = pa.list_(pa.struct([("class", pa.string()), *((side, pa.float32()) for side in SIDES)]))
# A row's place on Earth (`schema.Place`); the names and types are those of GeoParquet and STAC.
PLACE_COLUMNS: dict[str, pa.DataType] = {
    "lon": pa.float64(),
    "lat": pa.float64(),
    "bbox": BBOX,
    "geometry": pa.binary(),
    "crs": pa.string(),
    "gsd": pa.float64(),
    "datetime": pa.timestamp("us", tz="UTC"),
    "platform": pa.string(),
    "split": pa.string(),
    "grid_cell": pa.string(),
}
_FALSE_CLAIM = pa.struct([("kind", pa.string()), ("words", pa.string()), ("p", pa.float32())])
_UNCUT = pa.list_(pa.struct([("column", pa.string()), ("text", pa.string()), ("false_claims", pa.list_(_FALSE_CLAIM))]))
_ATTEMPT = pa.struct(
    [
        ("step", pa.int32()),
        ("attempt", pa.int32()),
        ("seed", pa.int64()),
        ("text", pa.string()),
        ("finish_reason", pa.string()),
        ("num_prompt_tokens", pa.int32()),
        ("num_tokens", pa.int32()),
        ("text_number", pa.int32()),
    ]
)
# How each of several long texts of an image was made (`schema.TextOrigin`).
_ORIGINS = pa.list_(
    pa.struct(
        [
            ("prompt", pa.string()),
            ("seed", pa.int64()),
            ("attempts", pa.int32()),
            ("finish_reason", pa.string()),
            ("num_tokens", pa.int32()),
        ]
    )
)
_ATTEMPT_NAMES = [field.name for field in _ATTEMPT]


def _hf_feature(kind: pa.DataType) -> Any:
    """A column type as a `datasets` feature."""
    if pa.types.is_list(kind):
        item = _hf_feature(kind.value_type)
        # A spelling that datasets 3 and later can read; `List` exists only in 4.
        return [item] if pa.types.is_struct(kind.value_type) else {"feature": item, "_type": "Sequence"}
    if pa.types.is_struct(kind):
        return {field.name: _hf_feature(field.type) for field in kind}
    return {"dtype": str(kind), "_type": "Value"}


def with_features(schema: pa.Schema) -> pa.Schema:
    """The schema with the metadata by which `load_dataset` recognises images."""
    features = {field.name: _hf_feature(field.type) for field in schema}
    if "image" in features:
        features["image"] = {"_type": "Image"}
    return schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})


RECORD_SCHEMA = with_features(
    pa.schema(
        [
            ("sample_id", pa.string()),
            ("subset", pa.string()),
            ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("image_sha256", pa.string()),
            ("caption_short", pa.string()),
            ("caption_long", pa.string()),
            ("short_source", pa.string()),
            ("long_source", pa.string()),
            ("num_tokens_short", pa.int32()),
            ("num_tokens_long", pa.int32()),
            ("anchors", _ANCHORS),
            ("label", pa.string()),
            ("license", pa.string()),
            ("recipe", pa.string()),
            ("prompts", _PROMPTS),
            ("model", pa.string()),
            ("model_revision", pa.string()),
            ("engine", pa.string()),
            ("seed", pa.int64()),
            ("attempts", pa.int32()),
            ("finish_reason", pa.string()),
            ("warnings", pa.list_(pa.string())),
            ("judge", pa.string()),
            ("claims", _CLAIMS),
            ("cut", pa.list_(pa.string())),
            ("uncut", _UNCUT),
            ("boxes", _BOXES),
            *PLACE_COLUMNS.items(),
            ("captions_long", pa.list_(pa.string())),
            ("captions_long_origin", _ORIGINS),
        ]
    )
)
ADDED = frozenset(
    {"judge", "claims", "cut", "uncut", "boxes", "problems", *PLACE_COLUMNS, "captions_long", "captions_long_origin"}
)  # columns that a shard written by an earlier version does not have
REJECTION_SCHEMA = with_features(
    pa.schema(
        [
            ("sample_id", pa.string()),
            ("reason", pa.string()),
            ("detail", pa.string()),
            ("attempts", pa.list_(_ATTEMPT)),
            ("problems", pa.list_(pa.string())),
        ]
    )
)
_RECORD_FIELDS = [name for name in RECORD_SCHEMA.names if name in Record.__dataclass_fields__]


def warm_up() -> None:
    """Load what pyarrow imports on first use (pandas: one second) before time is measured."""
    pa.RecordBatch.from_pylist([{"sample_id": ""}], schema=RECORD_SCHEMA)


def record_row(record: Record, image: StoredImage | None) -> dict[str, Any]:
    """A record and its image as one row of RECORD_SCHEMA; without an image, only its name."""
    name = _with_suffix(record.image_name, image.suffix) if image else record.image_name
    return {
        **{name: getattr(record, name) for name in _RECORD_FIELDS},
        "image": {"bytes": image.data if image else None, "path": name},
        "width": image.width if image else None,
        "height": image.height if image else None,
        "image_sha256": image.sha256 if image else None,
        "anchors": [{"class": anchor.name, "count": anchor.count} for anchor in record.anchors],
        "prompts": [{"name": name, "sha256": sha256} for name, sha256 in record.prompts],
        "warnings": list(record.warnings),
        "claims": None if record.claims is None else [asdict(claim) for claim in record.claims],
        "uncut": None if record.uncut is None else [asdict(text) for text in record.uncut],
        "captions_long": None if record.captions_long is None else list(record.captions_long),
        "captions_long_origin": record.captions_long_origin and [asdict(each) for each in record.captions_long_origin],
        "boxes": _boxes(record.anchors),
        **place_columns(record.place),
    }


def _boxes(anchors: Sequence[Anchor]) -> list[dict[str, Any]] | None:
    """Where the labelled objects are; None if that is known of none."""
    boxes = [{"class": anchor.name, **dict(zip(SIDES, box, strict=True))} for anchor in anchors for box in anchor.boxes]
    return boxes or None


def place_columns(place: Place) -> dict[str, Any]:
    """A place as the columns of a row."""
    values = {name: getattr(place, name) for name in PLACE_COLUMNS}
    return values | {"bbox": place.bbox and dict(zip(SIDES, place.bbox, strict=True))}


def _with_suffix(name: str, suffix: str) -> str:
    """The name with the extension that fits the bytes; ".5" in "tile_0.5" is not an extension."""
    stem, old = splitext(name)
    return (stem if old.lower() in IMAGE_SUFFIXES | RASTER_SUFFIXES else name) + suffix


def rejection_row(rejection: Rejection) -> dict[str, Any]:
    """A rejection as one row of REJECTION_SCHEMA."""
    attempts = [{name: getattr(attempt, name) for name in _ATTEMPT_NAMES} for attempt in rejection.attempts]
    return {
        "sample_id": rejection.sample_id,
        "reason": rejection.reason,
        "detail": storable(rejection.detail),
        "attempts": attempts,
        "problems": [storable(problem) for problem in rejection.problems] or None,
    }
