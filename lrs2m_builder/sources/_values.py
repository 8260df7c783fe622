"""Texts in a value of a table or of JSON: a text alone, in a list, or under a key that means text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from lrs2m_builder.errors import SampleError
from lrs2m_builder.images.cells import is_list, is_text

TEXT_KEYS = ("raw", "text", "caption", "sentence", "value", "content", "string")
_SPEAKERS = {"from", "role", "speaker"}  # keys of a conversation's turn, where questions are texts too

TextReader = Callable[[Any], tuple[str, ...]]


def texts_in(value: object) -> tuple[str, ...]:
    """The texts of a value; empty for None. A text that is itself JSON is parsed.

    Raises:
        SampleError: not_text, with the type of any other value.
    """
    if value is None:
        return ()
    if isinstance(value, str):
        return texts_in(parsed) if (parsed := _parsed(value)) is not None else (value,)
    if isinstance(value, list | tuple):
        return tuple(text for item in value for text in texts_in(item))
    if isinstance(value, Mapping) and (key := _text_key(value)):
        return texts_in(value[key])
    kind = "a conversation" if isinstance(value, Mapping) and _SPEAKERS & value.keys() else type(value).__name__
    raise SampleError("not_text", f"{kind} where a text should be: {repr(value)[:80]}")


def text_reader(kind: pa.DataType, classes: Sequence[str] = ()) -> TextReader | None:
    """A function that extracts the texts from cells of a type; None if such cells hold no text.

    Args:
        classes: class names, indexed by the whole numbers of the cells.
    """
    if isinstance(kind, pa.BaseExtensionType):
        return text_reader(kind.storage_type, classes)
    if pa.types.is_dictionary(kind):
        return text_reader(kind.value_type, classes)
    if pa.types.is_null(kind) or is_text(kind):
        return texts_in
    if pa.types.is_integer(kind) and classes:
        return lambda value: _class_name(value, classes)
    if is_list(kind) and (item := text_reader(kind.value_type, classes)):
        return partial(_of_list, item)
    if pa.types.is_struct(kind) and (key := _text_key({field.name: True for field in kind})):
        return texts_in if text_reader(kind.field(key).type) else None
    return None


def _of_list(item: TextReader, values: Sequence[Any] | None) -> tuple[str, ...]:
    return tuple(text for value in values or () for text in item(value))


def class_names(schema: pa.Schema, column: str) -> list[str]:
    """The names of a ClassLabel, or of a list of them, from the file's metadata; empty for other columns."""
    try:
        feature = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"][column]
        while not (isinstance(feature, dict) and "names" in feature):
            feature = feature[0] if isinstance(feature, list) else feature["feature"]
        return [name for name in feature["names"] if isinstance(name, str)]
    except (LookupError, TypeError, ValueError, RecursionError):
        return []


def _text_key(value: Mapping[Any, Any]) -> str | None:
    keys = [key for key in TEXT_KEYS if value.get(key) is not None]
    return keys[0] if len(keys) == 1 and not _SPEAKERS & value.keys() else None


def _class_name(value: int | None, classes: Sequence[str]) -> tuple[str, ...]:
    if value is None or value == -1:  # `datasets` writes -1 for no class
        return ()
    if not 0 <= value < len(classes):
        raise SampleError("not_text", f"class {value}; the file names {len(classes)} classes, starting at 0")
    return (classes[value],)


def _parsed(text: str) -> dict[str, Any] | list[Any] | None:
    if text[:1] not in {"{", "["}:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None
