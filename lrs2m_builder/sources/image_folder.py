"""A folder of images, each with a text file of the same stem beside it or with none; a subfolder may be a class.

images/harbor/001.jpg   images/harbor/001.txt     a caption a line
images/harbor/002.jpg   images/harbor/002.json    {"captions": [...] or "caption": ..., "caption_long", "label"}
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from lrs2m_builder.errors import UserError
from lrs2m_builder.images.files import IMAGE_SUFFIXES
from lrs2m_builder.schema import Anchor
from lrs2m_builder.sources.base import SourceRow
from lrs2m_builder.text import plain_words


def read(path: Path, subfolders: Literal["label", "anchor", "ignore"] = "label") -> Iterator[SourceRow]:
    """Yield one row an image, folder by folder, in the order of the names.

    Args:
        subfolders: what the name of an image's subfolder is: its label, its label and an object class that the texts
            must name, or nothing.

    Raises:
        UserError: it is no folder, or a text file cannot be read (it is named).
    """
    if subfolders not in {"label", "anchor", "ignore"}:
        raise UserError(f"{path}: subfolders is label, anchor or ignore, not {subfolders!r}")
    if not path.is_dir():
        raise UserError(f"{path}: not a folder of images")
    seen = {path.resolve()}
    for folder, folders, files in os.walk(path, onerror=_raise, followlinks=True):
        where = Path(folder)
        folders[:] = [name for name in sorted(folders) if not name.startswith(".") and _is_new(where / name, seen)]
        label = "" if where == path or subfolders == "ignore" else plain_words(where.name)
        anchors = (Anchor(label),) if label and subfolders == "anchor" else ()
        have = set(files)
        for name in sorted(have):
            image = where / name
            if image.suffix.lower() in IMAGE_SUFFIXES and not name.startswith("."):
                texts = _texts(image, have)
                yield SourceRow(
                    _name(image.relative_to(path)),
                    captions=tuple(texts["captions"]),
                    caption_long=texts.get("caption_long", ""),
                    label=texts.get("label") or label,
                    anchors=anchors,
                    image=image,
                )


def _raise(error: OSError) -> None:
    """A subfolder that cannot be listed: `os.walk` would leave it out and say nothing."""
    raise error


def _name(path: Path) -> str:
    """A path as text; bytes that are no UTF-8 are written as \\xfc and the like."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def _is_new(folder: Path, seen: set[Path]) -> bool:
    """Whether a folder was not walked yet: a link may lead back to one that was."""
    real = folder.resolve()
    is_new = real not in seen
    seen.add(real)
    return is_new


def _texts(image: Path, have: set[str]) -> dict[str, Any]:
    """What stands beside an image: "captions", and possibly "caption_long" and "label"."""
    if image.with_suffix(".txt").name in have:
        return {"captions": _content(image.with_suffix(".txt")).splitlines()}
    if image.with_suffix(".json").name not in have:
        return {"captions": []}
    path = image.with_suffix(".json")
    try:
        content = json.loads(_content(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: not a JSON object")
    captions = content.get("captions", content.get("caption", []))
    texts = {
        "captions": [captions] if isinstance(captions, str) else captions,
        **{key: content.get(key, "") for key in ("caption_long", "label")},
    }
    known = isinstance(texts["captions"], list) and all(isinstance(text, str) for text in texts["captions"])
    if not known or not isinstance(texts["caption_long"], str) or not isinstance(texts["label"], str):
        raise UserError(f"{path}: captions, caption_long and label must be texts")
    return texts


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as UTF-8 text: {error}") from error
