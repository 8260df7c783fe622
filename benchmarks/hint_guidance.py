"""The value of the hint: the paper's Figure 5 at a small scale, on scenes with known truth.

The demo captioner writes two long texts per unseen scene under real vLLM: with `short_to_long`, whose prompt has
the short texts of the scene, and with the same prompt without them. Nothing is retried, so that the hint is measured
and not the checks. Classes named in a text but not in the scene are invented; classes in the scene but not in the text
are missed. The difference has a 95 % interval from resampled scenes.

    python benchmarks/hint_guidance.py [--scenes 500] [--model DIR] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _truth import named
from captioner import NO_HINT, SEED, scene_index
from numpy.typing import NDArray

from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.run import build
from lrs2m_builder.build.shards import iter_rows
from lrs2m_builder.engines import engine_module
from lrs2m_builder.sample import CAPTIONER
from lrs2m_builder.sample.drawing.scene import draw_scene
from lrs2m_builder.sample.formats import MANIFEST, write_sample_source

NUM_RESAMPLES = 10_000


def main() -> None:
    """Build with and without the hint and print both, with the difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--model", type=Path, default=CAPTIONER)
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    options = parser.parse_args()
    truth = [set(draw_scene(SEED, index).counts) for index in range(options.scenes)]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "scenes"
        write_sample_source("world", source, options.scenes, SEED)
        errors = {
            name: count_errors(recipe, source, Path(folder) / name, options.model, truth)
            for name, recipe in (("hint", "short_to_long"), ("no_hint", NO_HINT))
        }
    kinds = enumerate(("invented", "missed"))
    result = {kind: compare(errors["hint"][:, i], errors["no_hint"][:, i]) for i, kind in kinds}
    for kind, numbers in result.items():
        low, high = numbers["interval"]
        print(
            f"{kind} classes a text: {numbers['hint']:.3f} with the hint, {numbers['no_hint']:.3f} without; "
            f"difference {numbers['difference']:.3f} (95 % interval {low:.3f} to {high:.3f}, {options.scenes} scenes)",
            file=sys.stderr if options.json else sys.stdout,
        )
    if options.json:
        print(json.dumps(result))


def count_errors(recipe: str, source: Path, out: Path, model: Path, truth: list[set[str]]) -> NDArray[np.float64]:
    """(scenes, 2): classes invented and classes missed in the first answer about each scene."""
    options = BuildOptions(
        recipe=recipe,
        source=str(source / MANIFEST),
        data_dir=source,
        out_dir=out,
        model=str(model),
        checks={"all": "warn"},
        images="reference",
    )
    report = build(options, engine_module("vllm"))
    if report.records != len(truth):
        raise SystemExit(f"{recipe}: {report.records} texts of {len(truth)} scenes, {report.rejections}")
    errors = np.full((len(truth), 2), np.nan)
    for path in sorted((out / "data").rglob("*.parquet")):
        for row in iter_rows(path, ["sample_id", "caption_long"]):
            index, classes = scene_index(row["sample_id"]), named(row["caption_long"])
            errors[index] = len(classes - truth[index]), len(truth[index] - classes)
    return errors


def compare(hint: NDArray[np.float64], no_hint: NDArray[np.float64]) -> dict[str, Any]:
    """Means of both, and the mean difference (without the hint minus with it), with its interval."""
    differences = no_hint - hint
    chosen = np.random.default_rng(0).integers(len(differences), size=(NUM_RESAMPLES, len(differences)))
    low, high = np.percentile(differences[chosen].mean(axis=1), (2.5, 97.5))
    return {
        "hint": float(hint.mean()),
        "no_hint": float(no_hint.mean()),
        "difference": float(differences.mean()),
        "interval": (float(low), float(high)),
    }


if __name__ == "__main__":
    main()
