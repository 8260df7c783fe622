"""Karpathy-style caption files (UCM-Captions, Sydney-Captions, RSICD, RSITMD), and COCO's captions.

    {"images": [{"filename", "split", "imgid", "sentences": [{"raw", ...}]}], ...}
    {"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}], ...}

Keys not named here are ignored, a missing split is accepted, blank sentences are dropped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lrs2m_builder.errors import UserError
from lrs2m_builder.sources._base import SourceRow


def read(path: Path) -> Iterator[SourceRow]:
    """Yield one row per image, in file order.

    Raises:
        UserError: the file is not JSON (the message gives the line) or not of this form (the message names the image).
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: line {error.lineno}, column {error.colno}: not JSON: {error.msg}") from error
    except RecursionError as error:
        raise UserError(f"{path}: not a caption file: nested too deeply") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start}: not UTF-8 text") from error
    except ValueError as error:  # a number with thousands of digits
        raise UserError(f"{path}: unreadable JSON: {error}") from error
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list):
        raise UserError(f'{path}: no list "images" in it; is this a caption file in Karpathy\'s format?')
    annotations = content.get("annotations")
    if isinstance(annotations, list) and not any(isinstance(image, dict) and "sentences" in image for image in images):
        images = _with_sentences(path, images, annotations)
    for number, image in enumerate(images):
        yield _row(path, number, image)


def _with_sentences(path: Path, images: list[Any], annotations: list[Any]) -> list[Any]:
    """COCO's images in Karpathy's form, with their captions in file order."""
    sentences: dict[str, list[Any]] = {}
    for number, image in enumerate(images):
        if not isinstance(image, dict) or image.get("id") is None:
            raise UserError(f'{path}: images[{number}]: no "id"')
        if str(image["id"]) in sentences:
            raise UserError(f"{path}: images[{number}]: duplicate id {image['id']}")
        sentences[str(image["id"])] = []
    for number, annotation in enumerate(annotations):
        if not isinstance(annotation, dict) or not isinstance(annotation.get("caption"), str):
            raise UserError(f'{path}: annotations[{number}]: no text "caption"; objects are read by vector_labels')
        if (own := sentences.get(str(annotation.get("image_id")))) is None:
            raise UserError(
                f"{path}: annotations[{number}] names image {annotation.get('image_id')!r}, which is not in the list"
            )
        own.append(annotation["caption"])
    return [
        {"filename": image.get("file_name"), "split": image.get("split"), "sentences": sentences[str(image["id"])]}
        for image in images
    ]


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
