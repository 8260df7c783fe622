"""Reads the queries of a localization test: texts, the image of each, and the regions that people drew for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrs2m_builder.errors import UserError

Polygon = tuple[tuple[float, float], ...]
WHERE = "AIR-SLT: SLM_testimgs.zip, named in https://github.com/xiaoyuan1996/SemanticLocalizationMetrics"
AIR_SLT, AIR_SLT_NUMBERS = "AIR-SLT", (59, 22)  # texts, images
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Query:
    """A text, where its image is, and its regions: polygons of (x, y) in pixels."""

    caption: str
    image_path: Path
    polygons: tuple[Polygon, ...]


def read_queries(path: Path, image_dir: Path) -> list[Query]:
    """The queries of an annotation file in AIR-SLT's form, in its order.

    The file is a list of `{"caption": text, "jpg_name": file name, "points": [[[x, y], ...], ...]}`.

    Raises:
        UserError: it is no such file, or images are missing.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    if not isinstance(rows, list) or not rows:
        raise UserError(f"{path}: not a list of queries, as AIR-SLT's anno.json is")
    queries = [_query(row, image_dir, f"{path}: query {number}") for number, row in enumerate(rows)]
    _check_images(image_dir, [query.image_path for query in queries])
    return queries


def set_name(queries: Sequence[Query], other: str) -> str:
    """AIR-SLT, if it has as many texts and images as that, or another name."""
    numbers = len(queries), len({query.image_path for query in queries})
    return AIR_SLT if numbers == AIR_SLT_NUMBERS else other


def fingerprint(queries: Sequence[Query]) -> dict[str, Any]:
    """What identifies these data: their number, and a hash over texts, regions and image bytes."""
    digest = hashlib.sha256()
    for query in queries:
        digest.update(json.dumps([query.caption, query.image_path.name, query.polygons]).encode())
    for path in dict.fromkeys(query.image_path for query in queries):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return {"texts": len(queries), "sha256": digest.hexdigest()}


def _query(row: Any, image_dir: Path, where: str) -> Query:
    try:
        polygons = tuple(tuple((float(x), float(y)) for x, y in polygon) for polygon in row["points"])
        caption, name = row["caption"].strip(), str(row["jpg_name"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{where}: wants caption, jpg_name and points, a list of polygons of [x, y]: {error!r}"
        ) from error
    if not caption or not polygons or any(len(set(polygon)) < 3 for polygon in polygons):
        raise UserError(f"{where}: wants a caption and polygons of three corners or more")
    return Query(caption, image_dir / name, polygons)


def _check_images(image_dir: Path, paths: Iterable[Path]) -> None:
    wanted = dict.fromkeys(paths)
    missing = [path.name for path in wanted if not path.is_file()]
    if missing:
        names = ", ".join(missing[:_SHOWN]) + (" ..." if len(missing) > _SHOWN else "")
        raise UserError(
            f"--images {image_dir}: {len(missing)} of {len(wanted)} images are not there ({names}); {WHERE}"
        )
