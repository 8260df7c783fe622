"""Karpathy-style caption files: UCM-Captions, Sydney-Captions, RSICD, RSITMD.

    {"images": [{"filename", "split", "imgid", "sentences": [{"raw", ...}]}], ...}

Keys not named here are ignored, a missing split is accepted, blank sentences are dropped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lrs2m_builder.errors import UserError
from lrs2m_builder.sources.base import SourceRow


def read(path: Path) -> Iterator[SourceRow]:
    """Yield one row an image, in the order of the file.

    Raises:
        UserError: the file is not JSON (the line is named) or not of this form (the image is named).
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: line {error.lineno}, column {error.colno}: not JSON: {error.msg}") from error
    except RecursionError as error:
        raise UserError(f"{path}: not a caption file: nested too deeply") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start}: not UTF-8 text") from error
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list):
        raise UserError(f'{path}: no list "images" in it; is this a caption file in Karpathy\'s format?')
    for number, image in enumerate(images):
        yield _row(path, number, image)


def _row(path: Path, number: int, image: Any) -> SourceRow:
    filename = image.get("filename") if isinstance(image, dict) else None
    if not isinstance(filename, str) or not filename:
        raise UserError(f'{path}: images[{number}]: no "filename"')
    sentences = image.get("sentences", [])
    if not isinstance(sentences, list):
        raise UserError(f'{path}: images[{number}] ({filename}): "sentences" is not a list')
    captions = []
    for sentence in sentences:
        raw = sentence.get("raw") if isinstance(sentence, dict) else sentence
        if not isinstance(raw, str):
            raise UserError(f'{path}: images[{number}] ({filename}): a sentence without the text "raw"')
        captions.append(raw)
    folder = image.get("filepath")
    name = f"{folder}/{filename}" if isinstance(folder, str) and folder else filename
    return SourceRow(image_name=name, captions=tuple(captions), split=str(image.get("split") or ""))
