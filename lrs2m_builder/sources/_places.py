"""The places of a source's images, from all that may know them.

The manifest's table knows best, then the row itself, a JSON file beside the image, the tags of the image's file, its
name, and last the manifest's constants.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.declared.manifest import Manifest
from lrs2m_builder.errors import UserError, one_line
from lrs2m_builder.files import open_regular, read_regular
from lrs2m_builder.images.georeference import read_georeference
from lrs2m_builder.schema import NOWHERE, ImageRef, Place
from lrs2m_builder.sources._base import SourceRow
from lrs2m_builder.sources._metadata import read_entries
from lrs2m_builder.sources._names import image_stem, same_letters
from lrs2m_builder.sources._place_values import ALIASES, completed, merged, quiet_place, read_place
from lrs2m_builder.sources._scene_names import place_in_name

IMAGE_KEYS = ("image", "image_path", "file_name", "filename", "filepath", "file", "path", "image_name", "name", "id")
MAX_JSON_BYTES = 2**30
_JSON, _LINES, _TABLES = {".json", ".geojson"}, {".jsonl", ".ndjson", ".geojsonl"}, {".csv", ".parquet"}


class Places:
    """Finds the place of an image.

    Attributes:
        files: the tables that the manifest names.
    """

    def __init__(self, manifest: Manifest, data_dir: Path) -> None:
        """Read the manifest's table.

        Raises:
            UserError: no file matches, or one cannot be read, names no images, or holds a value that is none.
        """
        self._manifest, self._settings = manifest, manifest.place
        self.files = table_files(manifest, data_dir)
        self._table = _Table(self.files, dict(self._settings.columns)) if self.files else None
        self._constants = self._settings.constants

    def of(self, row: SourceRow, image: ImageRef | None) -> Place:
        """The place of a row's image; what nothing tells is None."""
        place = self._table.find(row) if self._table else NOWHERE
        place = merged(place, row.place)
        if row.split and place.split is None:
            place = merged(place, Place(split=row.split))
        if self._settings.beside and isinstance(image, Path):
            place = merged(place, _beside(image))
        if self._settings.tags and place.geometry is None:
            place = merged(place, read_georeference(image, self._manifest.part))
        if self._settings.names and (place.datetime is None or place.platform is None):
            place = merged(place, place_in_name(row.image_name))
            if isinstance(image, Path) and place.datetime is None:
                place = merged(place, place_in_name(image.as_posix()))
        return completed(merged(place, self._constants))

    def check_used(self) -> None:
        """Refuse a table that names none of the images.

        Raises:
            UserError: with a name from either side.
        """
        if self._table and not self._table.num_found and self._table.last_asked:
            raise UserError(
                f"{self.files[0]}: names none of the images of {self._manifest.name}: it has "
                f"{self._table.example!r}, the source {self._table.last_asked!r}; name its column in place.columns"
            )


class _Table:
    """The entries of tables by the name of their image: its whole path, or its stem if that is unique."""

    def __init__(self, files: Iterable[Path], columns: Mapping[Any, str | None]) -> None:
        self.num_found, self.last_asked, self.example = 0, "", ""
        self._by_path: dict[str, Place] = {}
        self._by_stem: dict[str, Place | None] = {}
        others = {column: name for column, name in columns.items() if column != "image"}
        for file in files:
            for number, entry in enumerate(_entries(file, [name for name in columns.values() if name]), start=1):
                names = _image_names(entry, columns.get("image"))
                if not names:
                    raise UserError(f"{file}: entry {number}: no image: it has {_keys(entry)}; {_NAME_IT}")
                place, problems = read_place(entry, others)
                if problems:
                    raise UserError(f"{file}: entry {number} ({names[0]}): {problems[0]}; {_READ_ANOTHER}")
                self._add(names, place)

    def find(self, row: SourceRow) -> Place:
        """What the tables say of a row's image."""
        self.last_asked = row.image_name
        for name in filter(None, (row.image_name, row.image_file)):
            place = self._by_path.get(_key(name)) or self._by_stem.get(image_stem(_key(name)))
            if place is not None:
                self.num_found += 1
                return place
        return NOWHERE

    def _add(self, names: list[str], place: Place) -> None:
        self.example = self.example or names[0]
        for name in names:
            self._by_path[_key(name)] = place
            stem = image_stem(_key(name))
            is_new = self._by_stem.setdefault(stem, place) is place
            if not is_new and self._by_stem[stem] != place:
                self._by_stem[stem] = None  # two places: only the whole path tells them apart


_NAME_IT = "name the column with the images in place.columns.image"
_READ_ANOTHER = "name another column in place.columns, or null to leave it unread"


def _key(name: str) -> str:
    return "/".join(part for part in same_letters(name.replace("\\", "/")).split("/") if part not in {"", "."})


def table_files(manifest: Manifest, data_dir: Path) -> tuple[Path, ...]:
    """The tables of places that a manifest names."""
    for pattern in manifest.place.table:
        if matches := sorted(path for path in data_dir.glob(pattern) if path.is_file()):
            return tuple(matches)
    if manifest.place.table:
        looked = ", ".join(manifest.place.table)
        raise UserError(f"{data_dir}: no table of places of {manifest.name} (looked for {looked}); see place.table")
    return ()


def _entries(file: Path, columns: list[str]) -> Iterator[Mapping[str, Any]]:
    suffix = file.suffix.lower()
    if suffix == ".parquet":
        return _read_parquet(file, columns)
    if suffix in _LINES | _TABLES:
        return read_entries(file)
    if suffix in _JSON:
        return iter(_read_json(file))
    kinds = ", ".join(sorted(_JSON | _LINES | _TABLES))
    raise UserError(f"{file}: a table of places is one of {kinds}")


def _read_parquet(file: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    """Rows of the columns that may tell a place or name an image: pixels are not read."""
    known = {*columns, *IMAGE_KEYS, "grid_cell", "assets", *(name for names in ALIASES.values() for name in names)}
    try:
        open_regular(file).close()
        with pq.ParquetFile(file) as table:
            names = [name for name in table.schema_arrow.names if name in known or name.casefold() in known]
            for batch in table.iter_batches(columns=_without_pixels(table.schema_arrow, names)):
                yield from batch.to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{file}: cannot be read: {one_line(error)}") from error


def _without_pixels(schema: pa.Schema, names: list[str]) -> list[str]:
    """The columns to read; of an image with its bytes only the path."""
    kinds = {name: schema.field(name).type for name in names}
    images = {
        name: f"{name}.path"
        for name, kind in kinds.items()
        if name in IMAGE_KEYS and pa.types.is_struct(kind) and kind.get_field_index("path") >= 0
    }
    return [images.get(name, name) for name in names]


def _read_json(file: Path) -> list[Mapping[str, Any]]:
    try:
        content = json.loads(read_regular(file, MAX_JSON_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file}: not readable JSON: {one_line(error)}") from error
    if isinstance(content, dict) and isinstance(content.get("features"), list):
        content = content["features"]
    elif isinstance(content, dict) and content.get("type") == "Feature":
        content = [content]
    elif isinstance(content, dict):  # entries by the name of their image
        content = [{"image": name, **entry} for name, entry in content.items() if isinstance(entry, dict)]
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise UserError(f"{file}: neither a list of objects, nor objects by image, nor GeoJSON")
    return content


def _image_names(entry: Mapping[str, Any], column: str | None) -> list[str]:
    """The names by which an entry knows its image; those of a STAC item are its id and its assets' files."""
    places = (entry, properties) if isinstance(properties := entry.get("properties"), Mapping) else (entry,)
    if column:
        return [str(place[column]) for place in places if place.get(column) is not None][:1]
    names = [_name(place[key]) for key in IMAGE_KEYS for place in places if place.get(key) is not None][:1]
    assets = entry.get("assets")
    if isinstance(assets, Mapping):
        names += [asset["href"] for asset in assets.values() if isinstance(asset, Mapping) and asset.get("href")]
    return [name for name in names if isinstance(name, str) and name]


def _name(value: Any) -> str:
    return str(value.get("path") or "") if isinstance(value, Mapping) else str(value)


def _keys(entry: Mapping[str, Any]) -> str:
    return ", ".join(map(str, list(entry)[:30])) or "nothing"


def _beside(image: Path) -> Place:
    """What the JSON file of an image's stem beside it says; nothing if there is none that can be read."""
    try:
        entry = json.loads(read_regular(image.with_suffix(".json"), MAX_JSON_BYTES))
    except (OSError, ValueError, RecursionError):
        return NOWHERE
    return quiet_place(entry) if isinstance(entry, dict) else NOWHERE
