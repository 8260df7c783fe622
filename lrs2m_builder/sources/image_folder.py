"""A folder of images, each with or without a text file of the same stem beside it; a subfolder may be a class.

images/harbor/001.jpg   images/harbor/001.txt     one caption per line (also .caption, 001.jpg.txt)
images/harbor/002.jpg   images/harbor/002.json    {"captions": [...] or "caption" or "text", "caption_long", "label"}
images/metadata.jsonl                             {"file_name": "harbor/003.jpg", ...} (also .csv, .parquet)
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.files import is_hidden, read_regular
from lrs2m_builder.images.files import IMAGE_SUFFIXES
from lrs2m_builder.schema import Anchor
from lrs2m_builder.sources._base import SourceRow
from lrs2m_builder.sources._metadata import NAMES, ImageTexts, Metadata
from lrs2m_builder.text import plain_words

MAX_TEXT_BYTES = 2**24  # of a text file beside an image
_OTHER_PICTURES = {
    ".heic",
    ".heif",
    ".svg",
    ".psd",
    ".exr",
    ".dng",
    ".npy",
}  # unsupported image formats, which are reported
_PICTURES = IMAGE_SUFFIXES | _OTHER_PICTURES
_TEXT_SUFFIXES = (".txt", ".caption", ".json")


def read(path: Path, subfolders: Literal["label", "anchor", "ignore"] = "label") -> Iterator[SourceRow]:
    """Yield one row per image, folder by folder, in order of name; then metadata entries without an image.

    Args:
        path: the folder, or a metadata file in it.
        subfolders: the use of a subfolder's name: as label, as label and object class that the texts
            must name, or not at all.

    Raises:
        UserError: it is not a folder, or a metadata file cannot be read.
    """
    if subfolders not in {"label", "anchor", "ignore"}:
        raise UserError(f"{path}: subfolders must be label, anchor or ignore, not {subfolders!r}")
    path = path.parent if path.name in NAMES else path
    if not path.is_dir():
        raise UserError(f"{path}: not a folder of images")
    seen = {path.resolve()}
    tables: dict[Path, Metadata] = {}
    for folder, folders, files in os.walk(path, onerror=_raise, followlinks=True):
        where = Path(folder)
        folders[:] = [name for name in sorted(folders) if not is_hidden(name) and _is_new(where / name, seen)]
        if table := _metadata(where, files):
            tables[where] = table
        label = "" if where == path or subfolders == "ignore" else plain_words(where.name)
        anchors = (Anchor(label),) if label and subfolders == "anchor" else ()
        beside = _text_files(where, files)
        for name in sorted(set(files)):
            suffix = Path(name).suffix.lower()
            if is_hidden(name) or suffix not in _PICTURES:
                continue
            image = where / name
            texts = _listed(image, tables) + _beside(image, beside)
            unread = ("image_unsupported", f"{name}: {suffix} files are not read; convert it to PNG or TIFF")
            yield SourceRow(
                _name(image.relative_to(path)),
                captions=texts.captions,
                caption_long=texts.caption_long,
                label=texts.label or label,
                anchors=anchors,
                image=image,
                problem=unread if suffix in _OTHER_PICTURES else texts.problem,
                place=texts.place,
            )
    for where, table in tables.items():
        for name, texts in table.left():
            file = where / name.replace("\\", "/")
            problem = texts.problem or ("image_missing", f"{name}: named in {table.path}, but not found in {where}")
            yield SourceRow(
                _name(file.relative_to(path)), texts.captions, texts.caption_long, label=texts.label, problem=problem
            )


def _metadata(folder: Path, files: list[str]) -> Metadata | None:
    names = [name for name in NAMES if name in files]
    if len(names) > 1:
        raise UserError(f"{folder}: contains both {names[0]} and {names[1]}; remove one")
    return Metadata(folder / names[0]) if names else None


def _listed(image: Path, tables: dict[Path, Metadata]) -> ImageTexts:
    """An image's texts in the metadata file of its folder, or the nearest one above."""
    for folder in image.parents:
        if (table := tables.get(folder)) and (texts := table.take(image.relative_to(folder).as_posix())):
            return texts
    return ImageTexts()


def _raise(error: OSError) -> None:
    """Raise for a subfolder that cannot be listed: `os.walk` would skip it silently."""
    raise error


def _name(path: Path) -> str:
    """A path as text; bytes that are not UTF-8 are escaped, as in \\xfc."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def _is_new(folder: Path, seen: set[Path]) -> bool:
    """Whether a folder has not been walked yet: a link may lead back to a walked one."""
    real = folder.resolve()
    is_new = real not in seen
    seen.add(real)
    return is_new


def _text_files(folder: Path, files: list[str]) -> dict[str, list[Path]]:
    """The text files of a folder by their stems, caption-only formats first."""
    by_stem: dict[str, list[Path]] = {}
    for name in sorted(files, key=lambda name: (Path(name).suffix.lower() == ".json", name)):
        file = folder / name
        if file.suffix.lower() in _TEXT_SUFFIXES and not is_hidden(name):
            by_stem.setdefault(file.stem, []).append(file)
    return by_stem


def _beside(image: Path, by_stem: dict[str, list[Path]]) -> ImageTexts:
    """The texts in the files beside an image: 1.txt or 1.png.txt for 1.png."""
    texts = ImageTexts()
    for file in (*by_stem.get(image.stem, ()), *by_stem.get(image.name, ())):
        try:
            texts += _read_texts(file)
        except SampleError as error:
            texts += ImageTexts(problem=(error.reason, error.detail))
    return texts


def _read_texts(file: Path) -> ImageTexts:
    content = _content(file)
    if file.suffix.lower() != ".json":
        return ImageTexts(tuple(content.splitlines()))
    try:
        entry = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise SampleError("text_unreadable", f"{file}: not JSON: {error}") from error
    if not isinstance(entry, dict):
        raise SampleError("text_unreadable", f"{file}: not a JSON object")
    return ImageTexts.of(entry, str(file))


def _content(file: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 with a byte order mark."""
    try:
        data = read_regular(file, MAX_TEXT_BYTES)
        return data.decode("utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise SampleError("text_unreadable", f"{file}: byte {error.start}: not UTF-8 text") from error
    except OSError as error:
        raise SampleError("text_unreadable", f"{file}: {error.strerror or error}") from error
