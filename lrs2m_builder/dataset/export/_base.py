"""Shared by all export formats: options, the texts of a row, and image files."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Protocol

from lrs2m_builder.errors import UserError
from lrs2m_builder.images.outlines import to_geojson
from lrs2m_builder.schema import Place

TextChoice = Literal["long", "short", "both"]
ImageChoice = Literal["embed", "copy", "reference"]
DEFAULT_MAX_BYTES = 10**9
MAX_NAME = 200  # bytes of a file name; file systems allow 255, and a hash may be appended
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# The first bytes of the formats that a record may contain (see `images.load_stored`).
_SUFFIXES = ((b"\xff\xd8", ".jpg"), (b"\x89PNG", ".png"), (b"RIFF", ".webp"), (b"GIF8", ".gif"))
PLACE_NAMES = tuple(each.name for each in fields(Place))  # the columns of a place
_SEVERAL = ("captions_long", "captions_long_origin")  # of rows with several long texts
OTHER_TEXT = {"long": "caption_short", "short": "caption_long"}


@dataclass(frozen=True, slots=True)
class Options:
    """Export settings.

    Attributes:
        text: which texts of a row to write.
        images: inside the file, as files beside it, or only by their name in the source.
        image_prefix: prefix of an image's path.
        lines: write JSON lines instead of one JSON list.
        max_bytes: maximum size of one file, for formats with several.
        scores: names and types of the scores that rows have beside their columns, for formats that write them.
    """

    text: TextChoice = "both"
    images: ImageChoice = "copy"
    image_prefix: str = ""
    lines: bool = False
    max_bytes: int = DEFAULT_MAX_BYTES
    scores: Mapping[str, str] = field(default_factory=dict)


class ExportFormat(Protocol):
    """The contract of a format module in this folder.

    A module with WITH_SCORES = True gets rows with their scores, `<name>_<column>`; `Options.scores` has their types.
    """

    IMAGES: tuple[ImageChoice, ...]  # supported choices; the first is the default

    def write(self, rows: Iterator[dict[str, Any]], folder: Path, options: Options) -> tuple[str, ...] | None:
        """Write rows into an empty folder; returns what a person should know, a line each, if anything.

        Raises:
            UserError: a row lacks an image that the format needs.
            OSError: the disk fails.
        """


def texts(row: Mapping[str, Any], text: TextChoice) -> dict[str, str]:
    """The chosen texts of a row by kind, the long one first, without empty ones."""
    kinds = ("long", "short") if text == "both" else (text,)
    return {kind: caption for kind in kinds if (caption := row.get(f"caption_{kind}"))}


def every_text(row: Mapping[str, Any], text: TextChoice) -> list[tuple[str, str]]:
    """Kind and words of the chosen texts of a row, all long ones of a row with several."""
    one = texts(row, text)
    long = row.get(_SEVERAL[0]) if "long" in one else None
    pairs = [("long", caption) for caption in long] if long else [("long", one["long"])] if "long" in one else []
    return pairs + [(kind, caption) for kind, caption in one.items() if kind != "long"]


def columns(row: Mapping[str, Any], text: TextChoice) -> dict[str, Any]:
    """The columns of a row as values of JSON, without the image and without texts that were not chosen."""
    left_out = {"image", OTHER_TEXT.get(text), *(_SEVERAL if text == "short" or not row.get(_SEVERAL[0]) else ())}
    kept = {key: value for key, value in row.items() if key not in left_out}
    return kept | {key: value for key, value in place_values(row).items() if key in row}


def place_values(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row's place as values of JSON: its footprint as GeoJSON, its time in the form of ISO 8601."""
    values = {name: row.get(name) for name in PLACE_NAMES}
    if isinstance(values["geometry"], bytes):
        values["geometry"] = to_geojson(values["geometry"])
    if isinstance(values["datetime"], dt.datetime):
        values["datetime"] = values["datetime"].isoformat()
    return values


def json_text(entry: Mapping[str, Any]) -> str:
    """An entry as JSON; a foreign data set may have dates, bytes and decimals in other columns."""
    return json.dumps(entry, ensure_ascii=False, default=str)


def image_bytes(row: Mapping[str, Any]) -> bytes:
    """The image of a row.

    Raises:
        UserError: the row has no image.
    """
    data = (row.get("image") or {}).get("bytes")
    if not data:
        raise UserError(f"{row['sample_id']}: the data contain no image; export with --images reference")
    return bytes(data)


def image_suffix(data: bytes) -> str:
    """The file extension that fits the bytes of an image."""
    return next((suffix for magic, suffix in _SUFFIXES if data.startswith(magic)), ".img")


def image_name(row: Mapping[str, Any]) -> str:
    """The image's name in its source: a relative path with "/", or the sample's id if it has no name.

    Parts that would lead out of a folder are removed, and names too long for a file system are shortened.
    """
    name = (row.get("image") or {}).get("path") or row.get("image_path") or str(row["sample_id"])
    return _safe_path(str(name).replace("\\", "/")) or "image"


def _safe_path(name: str) -> str:
    parts = PurePosixPath(_CONTROL.sub("_", name)).parts
    return "/".join(_shortened(part) for part in parts if part not in {"/", "..", "."})


def _shortened(part: str) -> str:
    """The last MAX_NAME bytes of a name, where numbers and suffixes are."""
    return part.encode()[-MAX_NAME:].decode(errors="ignore")


class ImageFiles:
    """Writes the images of rows as files below `images/`; rows that share an image share its file."""

    def __init__(self, folder: Path, options: Options) -> None:
        self._folder, self._options = folder, options
        self._last: tuple[str, str] | None = None

    def place(self, row: Mapping[str, Any]) -> str:
        """The path of the row's image in the export; writes the file unless images are only referenced."""
        prefix = self._options.image_prefix
        if self._options.images != "copy":
            return prefix + image_name(row)
        return prefix + self._copy(row)

    def _copy(self, row: Mapping[str, Any]) -> str:
        data = image_bytes(row)
        sha256 = hashlib.sha256(data).hexdigest()
        subset = _safe_path(str(row.get("subset") or "").replace("/", "_")) or "none"
        name = PurePosixPath("images", subset, image_name(row)).with_suffix(image_suffix(data))
        if self._last and self._last[0] == f"{sha256} {name}":
            return self._last[1]
        written = self._write(name, data, sha256)
        self._last = f"{sha256} {name}", written
        return written

    def _write(self, name: PurePosixPath, data: bytes, sha256: str) -> str:
        """Write the image under its name, with its hash appended if another image has the name."""
        for candidate in (name, name.with_stem(f"{name.stem}-{sha256[:16]}")):
            path = self._folder / candidate
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
                return str(candidate)
            if path.is_file() and path.read_bytes() == data:
                return str(candidate)
        raise UserError(f"{name}: two images of this name have the same hash prefix")
