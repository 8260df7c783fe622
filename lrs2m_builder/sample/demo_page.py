"""The demo's page: what the checks caught, their numbers, every scene with its texts; a file without scripts."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lrs2m_builder.build.shards import iter_rows, rejections_of
from lrs2m_builder.dataset.pages import write_page
from lrs2m_builder.sample.asked_again import AskedAgain
from lrs2m_builder.sample.caught import Caught
from lrs2m_builder.schema import Rejection

PAGE = Path(__file__).with_name("demo_page.html.jinja")


@dataclass(slots=True)
class Counts:
    """What the checks did in the build of one recipe: answers refused, statements judged, sentences cut."""

    samples: int = 0
    rows: int = 0
    rejected: int = 0
    refused: int = 0
    judged: int = 0
    cut: int = 0
    warned: int = 0


def write_demo_page(
    built: Path,
    recipes: list[str],
    page: Path,
    *,
    caught: Sequence[Caught],
    looked_at: int,
    again: AskedAgain | None = None,
) -> Path:
    """Write the page for the builds `built/<recipe>`; rows of the same scene are merged.

    Args:
        caught: texts of which false words were cut; the first is shown at the top.
        looked_at: number of scenes whose texts were held against the images.
        again: a sample that was asked for twice, for the top too.

    Raises:
        UserError: a shard cannot be read, or the page cannot be written.
    """
    scenes: dict[str, dict[str, Any]] = {}
    counts = {recipe: Counts() for recipe in recipes}
    for recipe in recipes:
        for path in sorted((built / recipe / "data").rglob("*.parquet")):
            for row in iter_rows(path):
                _add_record(scenes, recipe, row)
                _count_record(counts[recipe], row)
        for path in sorted((built / recipe / "rejected").rglob("*.parquet")):
            for rejection in rejections_of(iter_rows(path)):
                _add_rejection(scenes, recipe, rejection)
                counts[recipe].samples += 1
                counts[recipe].rejected += 1
                counts[recipe].refused += len(rejection.attempts)
    write_page(
        page,
        PAGE,
        scenes=dict(sorted(scenes.items())),
        caught=caught,
        looked_at=looked_at,
        again=again,
        rejected=_rejected(scenes),
        counts={recipe: asdict(count) for recipe, count in counts.items()},
        command=f"lrs2m view {built} --open",
    )
    return page


def _rejected(scenes: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """The first scene that a check rejected, with its answers."""
    for name, scene in sorted(scenes.items()):
        for text in scene["texts"]:
            if text.get("answers"):
                return {"scene": name, "image": scene["image"], **text}
    return None


def _count_record(counts: Counts, row: dict[str, Any]) -> None:
    counts.samples += 1
    counts.rows += 1
    counts.refused += _num_refused(row)
    counts.judged += len(row["claims"] or ())
    counts.cut += len(row["cut"] or ())
    counts.warned += bool(row["warnings"])


def _num_refused(row: dict[str, Any]) -> int:
    """Number of answers that were refused before the row's own: each prompt has one that was accepted."""
    return max(0, int(row["attempts"]) - len(row["prompts"]))


def _add_record(scenes: dict[str, dict[str, Any]], recipe: str, row: dict[str, Any]) -> None:
    scene = scenes.setdefault(_scene_name(row["sample_id"]), _empty_scene())
    scene["image"] = scene["image"] or base64.b64encode(row["image"]["bytes"]).decode()
    if row["anchors"]:
        scene["anchors"] = ", ".join(f"{anchor['count']} {anchor['class']}" for anchor in row["anchors"])
    scene["texts"].append(
        {
            "recipe": recipe,
            "reason": "",
            "short": row["caption_short"],
            "short_by": Path(row["short_source"]).name,
            "short_tokens": row["num_tokens_short"],
            "long": row["caption_long"],
            "long_by": Path(row["long_source"]).name,
            "long_tokens": row["num_tokens_long"],
            "warnings": ", ".join(row["warnings"]),
            "judged": len(row["claims"] or ()),
            "cut": row["cut"] or (),
            "again": _num_refused(row),
        }
    )


def _add_rejection(scenes: dict[str, dict[str, Any]], recipe: str, rejection: Rejection) -> None:
    """A rejected scene with its refused answers, each once."""
    scene = scenes.setdefault(_scene_name(rejection.sample_id), _empty_scene())
    answers: dict[str, dict[str, Any]] = {}
    problems = rejection.problems or [f"{rejection.reason}: {rejection.detail}"] * len(rejection.attempts)
    for attempt, problem in zip(rejection.attempts, problems, strict=False):
        answer = answers.setdefault(attempt.text, {"text": attempt.text, "times": 0, "problem": problem})
        answer["times"] += 1
    scene["texts"].append(
        {
            "recipe": recipe,
            "reason": rejection.reason,
            "detail": rejection.detail,
            "short": "",
            "answers": list(answers.values()),
        }
    )


def _empty_scene() -> dict[str, Any]:
    return {"image": "", "anchors": "", "texts": []}


def _scene_name(sample_id: str) -> str:
    """The image's number, which identifies a scene across sources with different names."""
    return Path(sample_id.split("/", 1)[1]).stem.split("/")[-1]
