"""`metadata.jsonl`, `.csv` or `.parquet` beside the images of a folder, as the library `datasets` writes and reads it.

{"file_name": "train/1.png", "text": "A road.", "label": "farm land"}
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.errors import SampleError, UserError, one_line
from lrs2m_builder.files import open_regular
from lrs2m_builder.schema import NOWHERE, Place
from lrs2m_builder.sources._names import same_letters
from lrs2m_builder.sources._place_values import merged, quiet_place
from lrs2m_builder.sources._values import class_names, texts_in

NAMES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
_FILE = "file_name"
SHORT_KEYS = ("captions", "caption", "caption_short", "text")
LONG_KEYS = ("caption_long", "long_caption")
LABEL_KEYS = ("label",)


@dataclass(frozen=True, slots=True)
class ImageTexts:
    """The texts, label and place of an image; `problem` is the reason and detail if they are unusable."""

    captions: tuple[str, ...] = ()
    caption_long: str = ""
    label: str = ""
    problem: tuple[str, str] | None = None
    place: Place = NOWHERE

    @classmethod
    def of(cls, entry: Mapping[str, Any], where: str) -> ImageTexts:
        """The texts of an entry by its well-known keys."""
        try:
            return cls(
                texts_in([entry.get(key) for key in SHORT_KEYS]),
                " ".join(texts_in([entry.get(key) for key in LONG_KEYS])),
                "; ".join(texts_in([entry.get(key) for key in LABEL_KEYS])),
                place=quiet_place(entry),
            )
        except SampleError as error:
            return cls(problem=(error.reason, f"{where}: {error.detail}"))

    def __add__(self, other: ImageTexts) -> ImageTexts:
        """Both combined; of two long texts or labels the first."""
        return ImageTexts(
            (*self.captions, *other.captions),
            self.caption_long or other.caption_long,
            self.label or other.label,
            self.problem or other.problem,
            merged(self.place, other.place),
        )

    def contradicts(self, other: ImageTexts) -> bool:
        """Whether both have a long text, or both a label, and the two differ."""
        pairs = ((self.caption_long, other.caption_long), (self.label, other.label))
        return any(one and two and one != two for one, two in pairs)


class Metadata:
    """The entries of a metadata file by image."""

    def __init__(self, path: Path) -> None:
        """Read a file.

        Raises:
            UserError: it cannot be read, names no images, or has no key for a text.
        """
        self.path = path
        self._entries: dict[str, tuple[str, ImageTexts]] = {}
        self._repeats: list[tuple[str, ImageTexts]] = []
        keys: dict[str, None] = {}
        for number, entry in enumerate(read_entries(path), start=1):
            keys |= dict.fromkeys(entry)
            name = next((entry[key] for key in entry if key == _FILE or key.endswith(f"_{_FILE}")), None)
            if not isinstance(name, str) or not name:
                listed_keys = ", ".join(map(str, entry)) or "nothing"
                raise UserError(f"{path}: entry {number}: no text {_FILE!r}; it has {listed_keys}")
            texts, key = ImageTexts.of(entry, f"{path.name}: entry {number}"), self._key(name)
            name, before = self._entries.get(key, (name, ImageTexts()))
            if before.contradicts(texts):
                self._repeats.append((name, texts))
            else:  # one line per caption
                self._entries[key] = name, before + texts
        text_keys = (*SHORT_KEYS, *LONG_KEYS, *LABEL_KEYS)
        if self._entries and not set(keys) & set(text_keys):
            raise UserError(
                f"{path}: none of the keys {', '.join(text_keys)} beside {_FILE}; it has {', '.join(keys)}: rename one"
            )

    def take(self, name: str) -> ImageTexts | None:
        """Remove and return the texts of an image, by its path below the folder of the file."""
        entry = self._entries.pop(self._key(name), None)
        return entry and entry[1]

    def left(self) -> Iterator[tuple[str, ImageTexts]]:
        """Yield the names and texts of entries not taken, and of those that contradict an earlier entry."""
        yield from self._entries.values()
        yield from self._repeats

    @staticmethod
    def _key(name: str) -> str:
        return "/".join(part for part in same_letters(name.replace("\\", "/")).split("/") if part not in {"", "."})


def read_entries(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a `.parquet`, the lines of a `.csv`, or the objects of a file of JSON lines.

    Raises:
        UserError: the file cannot be read; the message names the line.
    """
    try:
        if path.suffix == ".parquet":
            open_regular(path).close()
            yield from _read_table(path)
        else:
            with open_regular(path) as file:
                text = file.read().decode("utf-8-sig")
            yield from _read_csv(path, text) if path.suffix == ".csv" else _read_lines(path, text)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: cannot be read: {one_line(error)}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start}: not UTF-8 text") from error


def _read_table(path: Path) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        classes = {key: names for key in schema.names if (names := class_names(schema, key))}
        for batch in file.iter_batches():
            for entry in batch.to_pylist():
                named = {
                    key: classes[key][value]
                    for key, value in entry.items()
                    if key in classes and isinstance(value, int) and 0 <= value < len(classes[key])
                }
                yield entry | named


def _read_csv(path: Path, text: str) -> Iterator[dict[str, Any]]:
    try:
        for line in csv.DictReader(text.splitlines(keepends=True), strict=True):
            yield {key: value for key, value in line.items() if isinstance(key, str) and value}
    except csv.Error as error:
        raise UserError(f"{path}: not readable as CSV: {error}") from error


def _read_lines(path: Path, text: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}: line {number}: not JSON: {error}") from error
        if not isinstance(entry, dict):
            raise UserError(f"{path}: line {number}: not a JSON object")
        yield entry
