"""What an evaluation found, as a JSON file that holds all that is needed to find it again."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from lrs2m_builder.build.settings import versions
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import read_json, write_json

Evaluation = Literal["zcrs", "zcrl", "zic", "selo"]
METRICS: dict[Evaluation, tuple[str, ...]] = {
    "zcrs": ("t2i_r1", "t2i_r5", "t2i_r10", "i2t_r1", "i2t_r5", "i2t_r10", "mr"),
    "zcrl": ("t2i_r1", "t2i_r5", "t2i_r10", "i2t_r1", "i2t_r5", "i2t_r10", "mr"),
    "zic": ("accuracy",),
    "selo": ("r_su", "r_as", "r_da", "r_mi"),
}
_KS = (1, 5, 10)
_PACKAGES = ("torch", "torchvision", "transformers", "numpy", "pillow", "pyarrow", "datasets", "scipy")


@dataclass(frozen=True, slots=True)
class Result:
    """One evaluation of one model on one set.

    Attributes:
        dataset: the set's name, as the paper writes it where it is one of the paper's.
        model, revision: what the model was loaded by, and the Hub's commit or "sha256:..." of the local files.
        metrics: fractions from 0 to 1, by the names of METRICS; a metric that makes no sense for the data is left out.
        num_images, num_texts: what was evaluated; for zic the texts are the classes.
        settings: all that was asked for: "command" (the words of the command line), "data" (its path and
            fingerprint), and each option by its name.
        details: what is no metric: intervals, tables, problems; each evaluation says its keys.
    """

    evaluation: Evaluation
    dataset: str
    model: str
    revision: str
    metrics: Mapping[str, float]
    num_images: int
    num_texts: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=partial(versions, _PACKAGES))


def by_chance(result: Result) -> dict[str, float]:
    """What guessing reaches on average, by metric; of the localization test it is not known.

    Where images have several texts, each is taken to have as many.
    """
    images, texts = result.num_images, result.num_texts
    if result.evaluation == "zic":
        return {"accuracy": 1 / texts}
    if result.evaluation == "selo":
        return {}
    wrong = texts - texts / images  # of an image's own texts, the others
    found: dict[str, float] = {f"t2i_r{k}": min(1.0, k / images) for k in _KS}
    for k in _KS:
        none = math.prod(max(wrong - j, 0.0) / (texts - j) for j in range(min(k, texts)))
        found[f"i2t_r{k}"] = 1 - none
    return found | {"mr": sum(found.values()) / len(found)}


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
    if content.keys() != names or content["evaluation"] not in get_args(Evaluation):
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
