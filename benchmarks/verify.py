"""What holding texts against the image changes: drawn scenes whose truth is known, the demo captioner as its own judge.

1. The judge on claims made from labels of unseen scenes (`lrs2m claims`, `lrs2m verify --calibrate`): AUROC by kind.
2. Builds with and without the hint, each without `--verify` (the alternative), with `cut` and with `ask`, at thresholds
   calibrated on other scenes: wrong claims per text, right claims per text, rejected samples, claims per second.

Wrong claims are classes that the scene does not have, numbers and places that are not so; right ones are the others.
One engine (vLLM) answers everything.

    python benchmarks/verify.py [--scenes 500] [--claims 2000] [--model DIR] [--engine vllm]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from _truth import Score
from captioner import NO_HINT, SEED, scene_index

from lrs2m_builder.build.options import BuildOptions, VerifyOption
from lrs2m_builder.build.run import build
from lrs2m_builder.build.shards import iter_rows
from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.engines import engine_module
from lrs2m_builder.engines._pool import EnginePool, SharedEngine
from lrs2m_builder.sample import CAPTIONER
from lrs2m_builder.sample.drawing.scene import Scene, draw_scene
from lrs2m_builder.sample.formats import MANIFEST, write_sample_source
from lrs2m_builder.sources import open_source
from lrs2m_builder.verify.calibrate import CalibrationOptions, calibrate_judge
from lrs2m_builder.verify.calibration import Measured
from lrs2m_builder.verify.claim_set import write_claims
from lrs2m_builder.verify.verdicts import read_thresholds

OTHER_SEED = 3000  # of the scenes by which thresholds are chosen; training draws seeds 1000 and 4000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--claims", type=int, default=2000, help="of each kind, half of them true")
    parser.add_argument("--model", type=Path, default=CAPTIONER)
    parser.add_argument("--engine", default="vllm")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, SharedEngine(engine_module(options.engine)) as pool:
        folder = Path(name)
        for seed in (SEED, OTHER_SEED):
            write_sample_source("world", folder / str(seed), options.scenes, seed)
        measured = _calibrated(folder, SEED, options, pool)
        for kind, one in measured.items():
            offs = "".join(f", {off} off {value:.3f}" for off, value in one.auroc_off.items())
            print(
                f"{kind}: {one.num_true + one.num_false} claims, AUROC {one.auroc:.3f}{offs}; balanced accuracy "
                f"{one.balanced_accuracy:.3f}; ECE {one.ece:.3f}; mass {one.mass:.4f}",
                flush=True,
            )
        _calibrated(folder, OTHER_SEED, options, pool)
        thresholds = read_thresholds(folder / f"calibration-{OTHER_SEED}.json")
        print("thresholds:", ", ".join(f"{kind} {value:.3f}" for kind, value in thresholds.items()))
        scenes = [draw_scene(SEED, index) for index in range(options.scenes)]
        for recipe in ("short_to_long", NO_HINT):
            modes: tuple[VerifyOption, ...] = ("off", "cut", "ask")
            for mode in modes:
                out = folder / f"{Path(recipe).stem}-{mode}"
                source = folder / str(SEED)
                settings = BuildOptions(
                    recipe=recipe,
                    source=str(source / MANIFEST),
                    data_dir=source,
                    out_dir=out,
                    engine=options.engine,
                    model=str(options.model),
                    verify=mode,
                    thresholds=thresholds if mode != "off" else {},
                )
                report = build(settings, pool)
                print(
                    f"{Path(recipe).stem} {mode}: {_figures(out, scenes)}; {report.reject_rate:.1%} rejected; "
                    f"{report.run['seconds']:.0f} s, {report.run['requests']} answers, {report.run['claims']} claims",
                    flush=True,
                )


def _calibrated(folder: Path, seed: int, options: argparse.Namespace, pool: EnginePool) -> dict[str, Measured]:
    """The judge on claims about the scenes of a seed."""
    source, claims = folder / str(seed), folder / f"claims-{seed}.parquet"
    write_claims(open_source(load_manifest(str(source / MANIFEST)), source), claims, per_kind=options.claims)
    out = folder / f"calibration-{seed}.json"
    return calibrate_judge(CalibrationOptions(claims, out, str(options.model), options.engine), pool)


def _figures(out: Path, scenes: list[Scene]) -> str:
    """Wrong and right claims per accepted text."""
    score = Score()
    for path in sorted((out / "data").rglob("*.parquet")):
        for row in iter_rows(path, ["sample_id", "caption_long"]):
            score.add(row["caption_long"], scenes[scene_index(row["sample_id"])])
    wrong = score.invented + score.counts[False] + score.readings[False]
    right = score.found + score.counts[True] + score.readings[True]
    texts = max(1, score.texts)
    return (
        f"{wrong / texts:.3f} wrong claims per text ({score.invented / texts:.3f} classes, "
        f"{score.counts[False] / texts:.3f} numbers, {score.readings[False] / texts:.3f} places), "
        f"{right / texts:.2f} right ones, {score.texts} texts"
    )


if __name__ == "__main__":
    main()
