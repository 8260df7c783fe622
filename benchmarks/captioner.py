"""Accuracy of the shipped demo captioner on scenes it was not trained on, and how much the checks reject.

Every recipe is built (vLLM, the recipes' own sampling), once more without the hint, and each text is compared
with the truth of its scene. A sample's text is the accepted one or, of a rejected sample, the last one refused.
Alternative: the sample world's own long texts, read by the same rules (1.000 if they are complete).

    python benchmarks/captioner.py [--scenes 500] [--model DIR] [--recipes short_to_long ...]
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from _truth import Score, kept, named, numbers, share

from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.run import build
from lrs2m_builder.build.shards import iter_rows
from lrs2m_builder.checks import split_words
from lrs2m_builder.engines import engine_module
from lrs2m_builder.engines._pool import EnginePool, SharedEngine
from lrs2m_builder.sample import CAPTIONER
from lrs2m_builder.sample.drawing.scene import Scene, draw_scene
from lrs2m_builder.sample.formats import MANIFEST, write_sample_source
from lrs2m_builder.sample.texts import write_texts

SEED = 2000  # training draws seed 1000, the sample source seed 0
MAX_WORDS = 20
NO_HINT = str(Path(__file__).parent / "no_hint" / "no_hint.py")
RECIPES = ("short_to_long", "vector_anchored", "long_to_short", NO_HINT)


def main() -> None:
    """Build with each recipe and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--model", type=Path, default=CAPTIONER)
    parser.add_argument("--recipes", nargs="+", default=RECIPES)
    options = parser.parse_args()
    scenes = [draw_scene(SEED, index) for index in range(options.scenes)]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "scenes"
        write_sample_source("world", source, options.scenes, SEED)
        with SharedEngine(engine_module("vllm")) as pool:
            for recipe in options.recipes:
                rows = _build(recipe, source, Path(folder) / Path(recipe).stem, options.model, pool)
                if recipe != "long_to_short":
                    print(f"    long texts: {_long_score(rows, scenes)}", flush=True)
                if recipe in {"long_to_short", "vector_anchored"}:
                    print(f"    summaries: {_summary_score(rows)}", flush=True)
    score = Score()
    for scene in scenes:
        score.add(write_texts(scene).long, scene)
    print(f"the sample world's own long texts\n    long texts: {score}")


def _build(recipe: str, source: Path, out: Path, model: Path, pool: EnginePool) -> list[dict[str, Any]]:
    """The rows of a build; rejected samples have their last answer."""
    options = BuildOptions(recipe=recipe, source=str(source / MANIFEST), data_dir=source, out_dir=out, model=str(model))
    report = build(options, pool)
    records = [row for path in sorted((out / "data").rglob("*.parquet")) for row in iter_rows(path)]
    attempts = sum(row["attempts"] for row in records) / max(1, len(records))
    print(
        f"{Path(recipe).stem}: {report.samples} samples, {report.reject_rate:.1%} rejected {report.rejections or ''}; "
        f"{attempts:.2f} answers a record; {report.run['captions_per_s']:.0f} captions/s"
    )
    return [*records, *_rejected(out)]


def _rejected(out: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((out / "rejected").rglob("*.parquet")):
        for row in iter_rows(path):
            texts = {attempt["step"]: attempt["text"] for attempt in row["attempts"]}
            yield {"sample_id": row["sample_id"], "caption_long": texts.get(0, ""), "caption_short": texts.get(1, "")}


def _long_score(rows: Sequence[dict[str, Any]], scenes: Sequence[Scene]) -> Score:
    score = Score()
    for row in rows:
        score.add(row["caption_long"], scenes[scene_index(row["sample_id"])])
    return score


def scene_index(sample_id: str) -> int:
    """The scene of a sample, by the number in its file name."""
    return int(Path(sample_id.rsplit("/", 1)[1]).stem)


def _summary_score(rows: Sequence[dict[str, Any]]) -> str:
    """Length, the share of the long text's classes that are kept, and of its numbers that are unchanged."""
    fits, classes, same = Counter[bool](), Counter[bool](), Counter[bool]()
    for row in rows:
        long, short = row["caption_long"], row["caption_short"]
        if not short:
            continue
        fits[len(split_words(short)) <= MAX_WORDS] += 1
        short_classes, counted = kept(short), numbers(long)
        classes.update(name in short_classes for name in named(long))
        same.update(number == counted.get(name) for name, number in numbers(short).items() if name in counted)
    return (
        f"{MAX_WORDS} words or less {share(fits):.3f} of {fits.total()}; classes of the long text kept "
        f"{share(classes):.3f} of {classes.total()}; counts kept {share(same):.3f} of {same.total()}"
    )


if __name__ == "__main__":
    main()
