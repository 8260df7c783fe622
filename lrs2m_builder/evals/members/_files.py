"""What evaluations look for in a path: lists in JSON, tables, and words that name a set of the paper."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


def json_files(path: Path) -> Iterator[tuple[Path, Path, Any]]:
    """Yield each JSON file that a path is, or that lies in a folder, with the folder of its data and its content."""
    if path.is_dir():
        files = [*sorted(path.glob("*.json")), *sorted(path.glob("annotations/*.json"))]
    else:
        files = [path] if path.suffix == ".json" and path.is_file() else []
    for file in files:
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            continue  # not JSON: no evaluation reads it
        yield file, path if path.is_dir() else path.parent, content


def table_columns(path: Path) -> set[str]:
    """The columns of a Parquet file, or of those of a folder or a build; empty if it is none."""
    import pyarrow.parquet as pq

    from lrs2m_builder.dataset.tables import record_files
    from lrs2m_builder.files import files_below

    if path.is_dir() and (any(path.glob("*.parquet")) or any(files_below(path / "data", ".parquet"))):
        return set(pq.read_schema(record_files(path)[0]).names)
    return set(pq.read_schema(path).names) if path.suffix == ".parquet" and path.is_file() else set()


def set_name(path: Path, sets: Sequence[str]) -> str:
    """The set of the paper that a path names, with or without the "-L" of long texts; else the path's own name."""
    words = _key(f"{path.parent.name} {path.stem}")
    own = path.parent.name if path.stem == "dataset" else path.stem
    return next((name for name in sets if _key(name.removesuffix("-L")) in words), own)


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
