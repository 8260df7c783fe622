"""What holding texts against the image changes: drawn scenes whose truth is known, the demo captioner as its own judge.

1. The judge on claims made from labels of unseen scenes (`lrs2m claims`, `lrs2m verify --calibrate`): AUROC by kind.
2. The judge on the claims of the texts that builds accept, with and without the hint: AUROC by kind, and which share of
   the wrong ones it finds if it may call some of the right ones false.
3. Builds that only warn (the alternative), with `cut` and with `ask`, at the judge's own thresholds (calibration.json
   beside its weights, from texts on other scenes): wrong claims per text, right claims per text, rejected samples.

Wrong claims are classes that the scene does not have, numbers and places that are not so; right ones are the others.
One engine (vLLM) answers everything.

    python benchmarks/verify.py [--scenes 500] [--claims 2000] [--model DIR] [--engine vllm] [--modes warn cut ask]
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _truth import Score
from captioner import NO_HINT, SEED, scene_index

from captioner_training.said import decided
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
from lrs2m_builder.verify.calibration import Measured, auroc
from lrs2m_builder.verify.claim_set import write_claims
from lrs2m_builder.verify.judge import judge_options
from lrs2m_builder.verify.verdicts import thresholds_for

# The calibration beside the weights is of scenes of seed 3000; training draws seeds 1000 and 4000.
MODES: tuple[VerifyOption, ...] = ("warn", "cut", "ask")
LOST = (0.01, 0.02, 0.05, 0.1)  # shares of the right claims that may be called false


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--claims", type=int, default=2000, help="of each kind, half of them true")
    parser.add_argument("--model", type=Path, default=CAPTIONER)
    parser.add_argument("--engine", default="vllm")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, SharedEngine(engine_module(options.engine)) as pool:
        folder = Path(name)
        write_sample_source("world", folder / str(SEED), options.scenes, SEED)
        measured = _calibrated(folder, options, pool)
        for kind, one in measured.items():
            offs = "".join(f", {off} off {value:.3f}" for off, value in one.auroc_off.items())
            print(
                f"{kind}: {one.num_true + one.num_false} claims, AUROC {one.auroc:.3f}{offs}; balanced accuracy "
                f"{one.balanced_accuracy:.3f}; ECE {one.ece:.3f}; mass {one.mass:.4f}",
                flush=True,
            )
        thresholds = thresholds_for(str(options.model), {})
        print("thresholds:", ", ".join(f"{kind} {value:.3f}" for kind, value in thresholds.items()))
        scenes = [draw_scene(SEED, index) for index in range(options.scenes)]
        for recipe in ("short_to_long", NO_HINT):
            for mode in options.modes:
                out = folder / f"{Path(recipe).stem}-{mode}"
                source = folder / str(SEED)
                settings = BuildOptions(
                    recipe=recipe,
                    source=str(source / MANIFEST),
                    data_dir=source,
                    out_dir=out,
                    engine=options.engine,
                    model=str(options.model),
                    engine_options=judge_options(options.engine, {}),
                    verify=mode,
                )
                report = build(settings, pool)
                print(
                    f"{Path(recipe).stem} {mode}: {_figures(out, scenes)}; {report.reject_rate:.1%} rejected; "
                    f"{report.run['seconds']:.0f} s, {report.run['requests']} answers, {report.run['claims']} claims",
                    flush=True,
                )
                if mode == "warn":
                    print(*_own_claims(out, scenes), sep="\n", flush=True)


def _calibrated(folder: Path, options: argparse.Namespace, pool: EnginePool) -> dict[str, Measured]:
    """The judge on claims made from labels."""
    source, claims = folder / str(SEED), folder / "claims.parquet"
    write_claims(open_source(load_manifest(str(source / MANIFEST)), source), claims, per_kind=options.claims)
    out = folder / "calibration.json"
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


def _own_claims(out: Path, scenes: list[Scene]) -> Iterator[str]:
    """How well the judge tells the claims of a build's texts, as far as the scene decides them."""
    judged = defaultdict[str, list[tuple[bool, float]]](list)
    texts = 0
    for path in sorted((out / "data").rglob("*.parquet")):
        for row in iter_rows(path, ["sample_id", "claims"]):
            texts += 1
            for claim in row["claims"]:
                known = decided(claim["words"], claim["kind"], scenes[scene_index(row["sample_id"])])
                if known and claim["p"] is not None:
                    judged[claim["kind"]].append((known.is_true, claim["p"]))
    for kind, found in judged.items():
        truth = np.array([is_true for is_true, _ in found], bool)
        p = np.array([p for _, p in found])
        if truth.all():
            yield f"    {kind}: {len(found)} claims, none wrong"
            continue
        shares = (f"{(p[~truth] < np.quantile(p[truth], lost)).mean():.3f} at {lost:.0%}" for lost in LOST)
        yield (
            f"    {kind}: {len(found)} claims, {(~truth).sum() / texts:.3f} wrong per text, AUROC "
            f"{auroc(p, truth):.3f}; found of the wrong ones {', '.join(shares)} of the right ones lost"
        )


if __name__ == "__main__":
    main()
