"""WebDataset tars of images with texts beside them, as img2dataset, webdataset and `lrs2m export` write them.

    0001.jpg  0001.txt  0001.json      the key is the name before the extension, with its folder

Captions are in `.txt`, `.caption` or `.short.txt`, in the JSON (captions, caption, text), or, if a sample has none, in
the Parquet file that img2dataset leaves beside the tar (columns key and caption); the long text is in `.long.txt` or
the JSON's caption_long, the class in `.cls` or its label.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from posixpath import splitext
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.errors import SampleError, UserError, one_line
from lrs2m_builder.files import open_regular
from lrs2m_builder.images.files import IMAGE_SUFFIXES, read_image
from lrs2m_builder.schema import TarMember
from lrs2m_builder.sources._base import SourceRow
from lrs2m_builder.sources._metadata import ImageTexts
from lrs2m_builder.sources._place_values import quiet_place
from lrs2m_builder.sources._tars import read_members

_SHORT = ("short.txt", "txt", "caption", "text")
_LONG = ("long.txt", "caption_long")
_JSON = ("json",)
_CLASS = ("cls.txt", "cls", "class", "label")
_TEXTS = (*_SHORT, *_LONG, *_JSON, *_CLASS)
MAX_TEXT_BYTES = 2**24


def read(path: Path, caption_key: str = "", txt: Literal["short", "long"] = "short") -> Iterator[SourceRow]:
    """Yield one row per key, in order of the keys' first occurrence in the tar.

    Args:
        caption_key: the key of the JSON that holds the caption; by default captions, caption and text are tried.
        txt: which text a plain `.txt` holds.

    Raises:
        UserError: not an uncompressed tar, or no member is an image (the message lists the extensions).
    """
    if txt not in {"short", "long"}:
        raise UserError(f"{path}: txt must be short or long, not {txt!r}")
    samples: dict[str, dict[str, list[TarMember]]] = {}  # members of a key need not be adjacent
    for name, member in read_members(path):
        key, extension = _split(name)
        extension = "long.txt" if extension == "txt" and txt == "long" else extension
        samples.setdefault(key, {}).setdefault(extension, []).append(member)
    if samples and not any(_images(members) for members in samples.values()):
        kinds = sorted({extension for members in samples.values() for extension in members})
        raise UserError(f"{path}: no image in it; its members end in {', '.join(kinds[:10])}")
    table = partial(_captions_beside, path, {})
    for key, members in samples.items():
        yield _row(path, key, members, caption_key, table)


def _row(path: Path, key: str, members: dict[str, list[TarMember]], caption_key: str, table: Any) -> SourceRow:
    images = _images(members)
    texts = ImageTexts()
    for extension in _TEXTS:
        for member in members.get(extension, ()):
            texts += _texts(member, extension, caption_key)
    if not texts.captions and not texts.caption_long and (caption := table(key)):
        texts += ImageTexts((caption,))
    problem = texts.problem
    if len(images) != 1:
        have = ", ".join(sorted(members))
        reason = "image_unsupported" if images else "image_missing"
        problem = (reason, f"{path}:{key}: {len(images)} images in the sample ({have}); a sample has one")
    return SourceRow(
        f"{path.stem}/{key}",
        captions=texts.captions,
        caption_long=texts.caption_long,
        label=texts.label,
        image=images[0] if len(images) == 1 else None,
        problem=problem,
        place=texts.place,
    )


def _split(name: str) -> tuple[str, str]:
    """Key and extension: WebDataset splits at the first dot; split at the last if only that extension is known."""
    folder, slash, base = name.removeprefix("./").rpartition("/")
    stem, _, extension = base.partition(".")
    extension = extension.lower()
    if not _is_known(extension):
        for dots in (2, 1):
            parts = base.rsplit(".", dots)
            last = ".".join(parts[1:]).lower()
            if len(parts) == dots + 1 and _is_known(last):
                return folder + slash + parts[0], last
    return folder + slash + stem, extension


def _is_known(extension: str) -> bool:
    return extension in _TEXTS or f".{extension}" in IMAGE_SUFFIXES


def _images(members: dict[str, list[TarMember]]) -> list[TarMember]:
    return [
        member
        for extension, copies in members.items()
        if splitext(f"a.{extension}")[1] in IMAGE_SUFFIXES
        for member in copies
    ]


def _texts(member: TarMember, extension: str, caption_key: str) -> ImageTexts:
    """The texts of a member; a class that is only a number is ignored."""
    try:
        if member.size > MAX_TEXT_BYTES:
            raise SampleError("text_too_long", f"{member}: {member.size:,} bytes")
        content = read_image(member).decode("utf-8-sig").strip()
        if extension in _JSON:
            entry = json.loads(content)
            if not isinstance(entry, dict):
                raise SampleError("text_unreadable", f"{member}: not a JSON object")
            texts = ImageTexts.of({"caption": entry.get(caption_key)} if caption_key else entry, str(member))
            return replace(texts, place=quiet_place(entry))
    except SampleError as error:
        return ImageTexts(problem=(error.reason.replace("image_", "text_"), error.detail))
    except (ValueError, RecursionError) as error:  # not UTF-8, or not JSON
        return ImageTexts(problem=("text_unreadable", f"{member}: {one_line(error)}"))
    if extension in _CLASS:
        return ImageTexts(label="" if content.lstrip("-").isdecimal() else content)
    return ImageTexts(caption_long=content) if extension in _LONG else ImageTexts((content,) if content else ())


def _captions_beside(path: Path, captions: dict[str, dict[str, str]], key: str) -> str:
    """The caption of a key in the tar's Parquet file, which is read when a sample has no text in the tar."""
    if "" not in captions:
        captions[""] = _read_captions(path.with_suffix(".parquet"))
    return captions[""].get(key, "")


def _read_captions(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        open_regular(path).close()
        names = pq.read_schema(path).names
        if not {"key", "caption"} <= set(names):
            raise UserError(f"{path}: no columns key and caption; it has {', '.join(names)}")
        rows = pq.read_table(path, columns=["key", "caption"]).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: not a readable Parquet file: {one_line(error)}") from error
    return {
        row["key"]: row["caption"] for row in rows if isinstance(row["key"], str) and isinstance(row["caption"], str)
    }
