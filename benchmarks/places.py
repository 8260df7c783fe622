"""Whether captions put objects where they are: a mosaic of drawn scenes, tiled with a map layer, captioned, checked.

`lrs2m sample --format mosaic`, `lrs2m tile` and `lrs2m build --recipe vector_anchored` with the demo captioner (vLLM),
once with the check `anchor_place` and once without. Claims of accepted rows are compared with the truth of the scenes;
and the findings of the check, on the texts that were written without it, too.

    python benchmarks/places.py [--scenes 196] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _truth import Score, places, share
from captioner import SEED

from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.run import build
from lrs2m_builder.build.shards import iter_rows
from lrs2m_builder.checks import ANCHOR_PLACE, Answer, Level
from lrs2m_builder.engines import engine_module
from lrs2m_builder.engines._pool import EnginePool, SharedEngine
from lrs2m_builder.sample import CAPTIONER
from lrs2m_builder.sample.drawing.scene import Scene, draw_scene
from lrs2m_builder.sample.drawing.sketch import SIDE
from lrs2m_builder.sample.mosaic import scene_offset, write_mosaic
from lrs2m_builder.schema import Anchor, Sample
from lrs2m_builder.tile.options import TileOptions
from lrs2m_builder.tile.run import tile


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=196)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    by_offset = {scene_offset(i, arguments.scenes): draw_scene(SEED, i) for i in range(arguments.scenes)}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        raster, layer = write_mosaic(folder / "mosaic", arguments.scenes, SEED)
        tile(TileOptions((raster,), folder / "tiles", labels=(str(layer),), size=SIDE, format="png"))
        with SharedEngine(engine_module("vllm")) as pool:
            for level in ("off", "error"):
                rows = _build(folder, folder / level, {"anchor_place": level}, pool)
                scenes = [by_offset[_offset(row["sample_id"])] for row in rows]
                score = Score()
                for row, scene in zip(rows, scenes, strict=True):
                    score.add(row["caption_long"], scene)
                print(f"    accepted rows: {score}", flush=True)
                if level == "off":
                    print(f"    {_findings(rows, scenes)}")


def _build(folder: Path, out: Path, levels: Mapping[str, Level], pool: EnginePool) -> list[dict[str, Any]]:
    """The accepted rows of a build."""
    tiles = folder / "tiles"
    options = BuildOptions(
        recipe="vector_anchored",
        source=str(tiles / "manifest.yaml"),
        data_dir=tiles,
        out_dir=out,
        model=str(CAPTIONER),
        checks=levels,
    )
    report = build(options, pool)
    rows = [row for path in sorted((out / "data").rglob("*.parquet")) for row in iter_rows(path)]
    attempts = sum(row["attempts"] for row in rows) / max(1, len(rows))
    reasons = json.dumps(report.rejections)
    print(
        f"{levels}: {report.samples} samples, {report.reject_rate:.1%} rejected {reasons}; {attempts:.2f} answers a row"
    )
    return rows


def _offset(sample_id: str) -> tuple[int, int]:
    """The upper left pixel of a tile in its scene."""
    column, row = Path(sample_id).stem.split("_")[-2:]
    return int(column), int(row)


def _findings(rows: list[dict[str, Any]], scenes: list[Scene]) -> str:
    """How many texts the check refuses, and in how many of them a claim is false by the truth of the scene."""
    refused = Counter[bool]()
    for row, scene in zip(rows, scenes, strict=True):
        anchors = tuple(
            Anchor(name, number, tuple(thing.box for thing in scene.of(name))) for name, number in scene.counts.items()
        )
        sample = Sample("", "", "", None, anchors=anchors, image_size=(SIDE, SIDE))
        text = row["caption_long"]
        if ANCHOR_PLACE.find(Answer(text, text, "stop", 1, sample)) is not None:
            score = Score()
            score.add(text, scene)
            refused[score.places[False] > 0] += 1
    said = sum(len(list(places(row["caption_long"]))) for row in rows)
    rightly = f"{share(refused):.3f} of them rightly"
    return f"of {len(rows)} texts with {said} claims the check refuses {refused.total()}, {rightly}"


if __name__ == "__main__":
    main()
