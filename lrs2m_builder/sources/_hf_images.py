"""The image column of a Parquet or Arrow file: which rows hold the image, and which name its file.

Image bytes are not read for this, unless a row group of Parquet has cells with bytes and cells without.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lrs2m_builder.errors import UserError
from lrs2m_builder.images.cells import bytes_field, holds_image, is_bytes, is_list, is_text

_NAME_FIELDS = ("path", "file_name", "filename", "url", "name")
_FEW_BYTES = 64  # a cell this small holds no image


@dataclass(frozen=True, slots=True)
class ImageCells:
    """How the cells of an image column are read.

    Attributes:
        name: of the column.
        in_list: whether a cell is a list of images.
        bytes_field, name_field: field of a struct; "" if the cells themselves are bytes or texts, None without it.
    """

    name: str
    in_list: bool
    bytes_field: str | None
    name_field: str | None

    @classmethod
    def of(cls, path: Path, field: pa.Field) -> ImageCells:
        """The cells of a file's image column.

        Raises:
            UserError: the cells hold neither images nor file names.
        """
        kind, in_list = field.type, False
        while isinstance(kind, pa.BaseExtensionType) or pa.types.is_dictionary(kind) or (is_list(kind) and not in_list):
            in_list = in_list or is_list(kind)
            kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind.value_type
        if is_bytes(kind):
            return cls(field.name, in_list, "", None)
        if is_text(kind):
            return cls(field.name, in_list, None, "")
        if pa.types.is_struct(kind):
            texts = [item.name for item in kind if is_text(item.type)]
            name_field = next((name for name in _NAME_FIELDS if name in texts), texts[0] if len(texts) == 1 else None)
            if (content := bytes_field(kind)) or name_field:
                return cls(field.name, in_list, content, name_field)
        raise UserError(
            f"{path}: column {field.name!r} holds {str(field.type)[:100]}, not images; an image column holds bytes, a "
            "struct with bytes or a path, or file names: ds.cast_column(..., datasets.Image()) makes one"
        )

    def leaves(self, group: pq.RowGroupMetaData) -> list[str]:
        """The leaf columns to read of a row group to know what each row has."""
        leaf_paths = []
        for leaf in map(group.column, range(group.num_columns)):
            first, _, rest = leaf.path_in_schema.partition(".")
            if first != self.name:
                continue
            last = rest.rpartition(".")[2] if self.bytes_field or self.name_field else ""
            tells_length = self.in_list and self.name_field is None
            if last == self.name_field or (last == self.bytes_field and (tells_length or _may_be_null(leaf))):
                leaf_paths.append(leaf.path_in_schema)
        return leaf_paths

    def cells(self, column: Any, number: int) -> Iterator[Cell]:
        """Yield the cell of each of `number` rows; all have bytes if the column was not read."""
        if column is None:
            yield from (Cell(True, "") for _ in range(number))
            return
        column = _plain(column)
        if not self.in_list:
            yield from map(Cell, *self._of_each(column))
            return
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_pylist()
        has_bytes, names = self._of_each(_plain(pc.list_flatten(column)))
        start = 0
        for length in lengths:
            yield Cell(has_bytes[start], names[start], length) if length else Cell(False, "", 0)
            start += length

    def _of_each(self, column: Any) -> tuple[list[bool], list[str]]:
        size = len(column)
        if pa.types.is_struct(column.type):
            field_names = {field.name for field in column.type}
            content = pc.struct_field(column, self.bytes_field) if self.bytes_field in field_names else None
            file_names = pc.struct_field(column, self.name_field) if self.name_field in field_names else None
            valid = column.is_valid().to_pylist()
        else:
            content, file_names = (column, None) if is_bytes(column.type) else (None, column)
            valid = [True] * size
        names = [name or "" for name in file_names.to_pylist()] if file_names is not None else [""] * size
        if content is not None:
            has_bytes = content.is_valid().to_pylist()
        elif self.bytes_field is not None:  # not read: the column has no nulls
            has_bytes = valid
        else:
            has_bytes = [holds_image(name) for name in names]
        return has_bytes, names


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell holds: bytes, or else a file name; of several images the first."""

    has_bytes: bool
    file: str
    number: int = 1

    @property
    def problem(self) -> tuple[str, str] | None:
        """Why it is unusable, as reason and detail."""
        if self.number > 1:
            return "image_unsupported", f"{self.number} images in one cell; a sample has one: write one row per image"
        return None if self.has_bytes or self.file else ("image_missing", "neither bytes nor a file name")


def _plain(column: Any) -> Any:
    """The array with extension type and dictionary decoded."""
    if isinstance(column.type, pa.BaseExtensionType):
        return _plain(column.storage)
    return _plain(column.dictionary_decode()) if pa.types.is_dictionary(column.type) else column


def _may_be_null(leaf: Any) -> bool:
    statistics = leaf.statistics if leaf.is_stats_set else None
    if statistics is None or not statistics.has_null_count:
        return bool(leaf.total_uncompressed_size <= _FEW_BYTES * leaf.num_values)
    return bool(statistics.null_count)
