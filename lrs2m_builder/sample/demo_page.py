"""The demo's page: every scene with its texts from each recipe; a static file without scripts."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lrs2m_builder.build.shards import iter_rows, rejections_of
from lrs2m_builder.dataset.pages import write_page
from lrs2m_builder.sample.caught import Caught

PAGE = Path(__file__).with_name("demo_page.html.jinja")


def write_demo_page(built: Path, recipes: list[str], caught: Sequence[Caught], looked_at: int, page: Path) -> Path:
    """Write the page for the builds `built/<recipe>`; rows of the same scene are merged.

    Args:
        caught: texts of which false words were cut; the first is shown at the top.
        looked_at: number of scenes whose texts were held against the images.

    Raises:
        UserError: a shard cannot be read, or the page cannot be written.
    """
    scenes: dict[str, dict[str, Any]] = {}
    for recipe in recipes:
        for path in sorted((built / recipe / "data").rglob("*.parquet")):
            for row in iter_rows(path):
                _add_record(scenes, recipe, row)
        for path in sorted((built / recipe / "rejected").rglob("*.parquet")):
            for rejection in rejections_of(iter_rows(path)):
                scene = scenes.setdefault(_scene_name(rejection.sample_id), _empty_scene())
                scene["texts"].append({"recipe": recipe, "reason": rejection.reason, "detail": rejection.detail})
    write_page(page, PAGE, scenes=dict(sorted(scenes.items())), caught=caught, looked_at=looked_at)
    return page


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
        }
    )


def _empty_scene() -> dict[str, Any]:
    return {"image": "", "anchors": "", "texts": []}


def _scene_name(sample_id: str) -> str:
    """The image's number, which identifies a scene across sources with different names."""
    return Path(sample_id.split("/", 1)[1]).stem.split("/")[-1]
