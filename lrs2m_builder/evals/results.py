"""Results as JSON files, which hold all that is needed to repeat an evaluation."""

from __future__ import annotations

import re
from dataclasses import asdict, fields
from pathlib import Path

from lrs2m_builder.errors import UserError
from lrs2m_builder.evals.record import Result
from lrs2m_builder.evals.registry import evaluations
from lrs2m_builder.files import read_json, write_json


def write_result(result: Result, path: Path) -> None:
    """Write a result as JSON; the file is there in full or not at all.

    Raises:
        UserError: the disk is full or fails.
    """
    write_json(path, asdict(result))


def result_name(result: Result) -> str:
    """A file name, without suffix, for a result and the pictures beside it: evaluation, set and model."""
    parts = (result.evaluation, result.dataset, result.model)
    return "_".join(re.sub(r"[^\w.-]+", "-", part).strip("-.").lower() or "none" for part in parts)


def read_result(path: Path) -> Result:
    """Read one result.

    Raises:
        UserError: the file is none.
    """
    content = read_json(path)
    names = {each.name for each in fields(Result)}
    if content.keys() != names or content["evaluation"] not in evaluations():
        raise UserError(f"{path}: not a result of lrs2m eval")
    return Result(**content)


def read_results(folder: Path) -> list[Result]:
    """All results in a folder and the folders in it, in the order of their paths; other JSON files are passed over.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder of results")
    found = []
    for path in sorted(folder.rglob("*.json")):
        if '"evaluation"' in path.read_text(encoding="utf-8", errors="replace")[:200]:
            found.append(read_result(path))
    return found
