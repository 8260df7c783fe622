"""The words of labelled objects: a YAML file that maps columns and values of a layer to words, null or an area.

    building=*: building               # column=value; * is any value but no
    landuse=forest: {words: forest, area: true}    # land cover: named from 1 % of a tile on, never counted
    aeroway=helipad: null              # left out
    "3": plane                         # a value of --class-column
    "*": building                      # every object that no line above names

The first line that fits an object gives its class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from lrs2m_builder.errors import UserError, one_line
from lrs2m_builder.sources.vector_labels.classes import in_words
from lrs2m_builder.tile.layers import Layer

OSM_CLASSES = Path(__file__).with_name("osm.yaml")
NOT_SET = ("", "no", "false", "0")
# Objects that OpenStreetMap maps and no image shows: column, and the values that hide an object.
_HIDDEN = {"tunnel": ("yes", "culvert"), "location": ("underground",)}


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a classes file.

    Attributes:
        column: "" is the class column.
        value: "*" is any.
        words: None leaves the object out.
    """

    column: str
    value: str
    words: str | None
    is_area: bool = False


@dataclass
class Classes:
    """Gives numbers to classes, and each object its number.

    Attributes:
        column: with the class of an object, for rules and values without a column of their own.
        names: of the classes, by number.
        are_areas: whether a class is land cover, by number.
    """

    column: str
    rules: tuple[Rule, ...]
    names: list[str] = field(default_factory=list)
    are_areas: list[bool] = field(default_factory=list)

    def needed(self, layer: Layer) -> list[str]:
        """The columns of a layer that are read.

        Raises:
            UserError: the layer has none of the columns that would give a class.
        """
        named = [rule.column or self.column for rule in self.rules if (rule.column, rule.value) != ("", "*")]
        wanted = list(dict.fromkeys([self.column, *named, *(("layer", *_HIDDEN) if layer.is_osm else ())]))
        present = [name for name in wanted if name in layer.columns]
        everything = any((rule.column, rule.value) == ("", "*") for rule in self.rules)
        if not present and not everything and "other_tags" not in layer.columns:
            raise UserError(
                f"{layer}: no column {' or '.join(dict.fromkeys([*named, self.column]))}, which would name the class; "
                f"it has {', '.join(layer.columns) or 'none'}: give --class-column, or --classes with '\"*\": WORDS'"
            )
        return [*present, *(["other_tags"] if "other_tags" in layer.columns else [])]

    def numbers(self, layer: Layer, table: Any) -> np.ndarray:
        """The class of every row of an Arrow table, -1 for objects that are left out."""
        columns = _Columns(table)
        numbers = np.full(table.num_rows, -2, np.int32)
        if layer.is_osm:
            numbers[_hidden(columns, table.num_rows)] = -1
        for rule in self.rules:
            fits = columns.fit(rule.column or self.column, rule.value) if rule.column or rule.value != "*" else True
            numbers[(numbers == -2) & fits] = -1 if rule.words is None else self._number(rule.words, rule.is_area)
        values = columns.get(self.column)
        open_rows = np.flatnonzero(numbers == -2)
        if values is not None and len(open_rows):
            encoded = values.take(open_rows).dictionary_encode()
            own = [self._own(layer, value) for value in encoded.dictionary.to_pylist()]
            codes = encoded.indices.fill_null(len(own)).to_numpy()
            numbers[open_rows] = np.array([*own, -1], np.int32)[codes]
        numbers[numbers == -2] = -1
        return numbers

    def _own(self, layer: Layer, value: str) -> int:
        """The number of a value that no rule names: its own words."""
        if value.strip().lower() in NOT_SET:
            return -1
        try:
            words = in_words(layer.path, value, {})
        except UserError as error:
            raise UserError(f"--labels {layer}: class {value!r} is not a word; give it words by --classes") from error
        return -1 if words is None else self._number(words, False)

    def _number(self, words: str, is_area: bool) -> int:
        if words not in self.names:
            self.names.append(words)
            self.are_areas.append(is_area)
        return self.names.index(words)


class _Columns:
    """The columns of a table as text, also those in OpenStreetMap's column of other tags."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self._cache: dict[str, Any] = {}

    def get(self, name: str) -> Any:
        """An Arrow array of strings; None without the column."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if name not in self._cache:
            found = None
            if name in self._table.column_names:
                found = self._table[name].combine_chunks()
                found = found.cast(pa.string()) if not pa.types.is_string(found.type) else found
            elif "other_tags" in self._table.column_names:
                pattern = rf'(?:^|,)"{name}"=>"(?P<value>[^"]*)"'
                found = pc.struct_field(pc.extract_regex(self._table["other_tags"].combine_chunks(), pattern), 0)
            self._cache[name] = found
        return self._cache[name]

    def fit(self, column: str, value: str) -> Any:
        """Which rows have a value in a column."""
        import pyarrow.compute as pc

        values = self.get(column)
        if values is None:
            return False
        if value != "*":
            return pc.fill_null(pc.equal(values, value), False).to_numpy(zero_copy_only=False)
        import pyarrow as pa

        is_set = pc.invert(pc.is_in(pc.utf8_lower(values), pa.array(NOT_SET)))
        return pc.and_(pc.is_valid(values), is_set).to_numpy(zero_copy_only=False)


def _hidden(columns: _Columns, count: int) -> np.ndarray:
    """OpenStreetMap's objects below the ground."""
    hidden = np.zeros(count, bool)
    for column, values in _HIDDEN.items():
        for value in values:
            hidden |= columns.fit(column, value)
    layers = columns.get("layer")
    if layers is not None:
        import pyarrow.compute as pc

        hidden |= pc.fill_null(pc.starts_with(layers, "-"), False).to_numpy(zero_copy_only=False)
    return hidden


def load_classes(name: str | None, column: str) -> Classes:
    """The classes of a file; "osm" is the shipped one, None keeps the layer's own words.

    Raises:
        UserError: it cannot be read, or a line is not of the form.
    """
    if name is None:
        return Classes(column, ())
    path = OSM_CLASSES if name == "osm" else Path(name)
    try:
        lines = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)  # every value as it is written
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"--classes {path}: cannot be read: {one_line(error)}") from error
    if not isinstance(lines, Mapping) or not lines:
        raise UserError(f"--classes {path}: give lines such as 'building=*: building'")
    rules = tuple(_rule(path, str(key), value) for key, value in lines.items())
    _check_kinds(path, rules)
    return Classes(column, rules)


def _rule(path: Path, key: str, value: Any) -> Rule:
    column, equals, wanted = key.partition("=")
    area = False
    if isinstance(value, Mapping):
        if unknown := sorted(value.keys() - {"words", "area"}):
            raise UserError(f"--classes {path}: {key}: no {unknown[0]!r}; known: words, area")
        area, value = str(value.get("area")).lower() == "true", value.get("words", "")
    if not isinstance(value, str) or (area and not value.strip()):
        raise UserError(f"--classes {path}: {key}: give words, null, or {{words: ..., area: true}}")
    words = None if value.strip() in {"", "null", "~"} else in_words(path, key, {key: value.strip()})
    return Rule(column.strip(), wanted.strip(), words, area) if equals else Rule("", key.strip(), words, area)


def _check_kinds(path: Path, rules: Sequence[Rule]) -> None:
    """Raises:
    UserError: words are once an area and once an object.
    """
    kinds: dict[str, bool] = {}
    for rule in rules:
        if rule.words is not None and kinds.setdefault(rule.words, rule.is_area) != rule.is_area:
            raise UserError(f"--classes {path}: {rule.words!r} is an area in one line and not in another; decide")
