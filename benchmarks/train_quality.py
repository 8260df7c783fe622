"""Does training learn: recall on unseen pairs compared with chance, for drawn scenes and for real captions.

Drawn: `lrs2m sample` and `lrs2m build --recipe merge` make pairs without a model; the same small CLIP is trained on
both texts and on the short ones only, and evaluated on scenes of another seed. Real: UCM-Captions with UC Merced, and
RSICD's captions with the images of AID, short texts only since they have no long ones, evaluated on their held-out
images. A stopped run resumes. Half an hour on two cores; curves go to docs/images/.

    python benchmarks/train_quality.py --work DIR [--scenes 6000] [--plot docs/images/train_quality.png]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from _common import real_data
from _real_pairs import write_rsicd, write_ucm

from lrs2m_builder.clip.model import load
from lrs2m_builder.evals.held_out import read_held_out

SEEDS = {"train": 7, "test": 8}
UNSEEN = 500
EVAL_EVERY = "eval_every=40"
REAL = ("train_on=short", "multi_positive=true", "max_steps=120", "eval_every=30")  # an image has up to five texts


def lrs2m(*arguments: object) -> None:
    """Run a command of the program."""
    subprocess.run([sys.executable, "-m", "lrs2m_builder.cli", *map(str, arguments)], check=True)


def draw(work: Path, split: str, scenes: int) -> Path:
    """The build of a split of drawn scenes."""
    folder, out = work / f"scenes_{split}", work / split
    if not (out / "report.json").exists():
        lrs2m("sample", "--out", folder, "--scenes", scenes, "--seed", SEEDS[split])
        lrs2m("build", "--recipe", "merge", "--source", "sample", "--data-dir", folder, "--out", out)
    return out


def train(work: Path, name: str, data: Path, held_out: Path, *settings: str) -> list[dict[str, Any]]:
    """The metrics of a run, one line per step."""
    sets = [part for setting in settings for part in ("--set", setting)]
    lrs2m("train", data, "--config", "small", *sets, "--out", work / name, "--eval-data", held_out)
    return [json.loads(line) for line in (work / name / "metrics.jsonl").read_text().splitlines()]


def report(title: str, lines: list[dict[str, Any]], text: str, num_images: int) -> None:
    """Print the recall of the last evaluation, and how many times chance it is."""
    last = lines[-1]
    seconds = sum(64 / line["images_per_s"] for line in lines)
    parts = [
        f"{way} R@{k} {value:.1%} ({value * num_images / k:.0f} x chance)"
        for way in ("t2i", "i2t")
        for k in (1, 5, 10)
        for value in [last[f"eval_{text}_{way}_r{k}"]]
    ]
    print(f"{title}, {text} texts, {num_images} unseen images, {last['step']} steps in {seconds:.0f} s:")
    print("  " + ", ".join(parts))


def draw_curves(panels: dict[str, dict[str, Any]], path: Path) -> None:
    """One plot per panel: recall over the steps, and chance.

    Args:
        panels: title -> "images" in it, "what" is shown, and "curves": label -> metrics and the name in them.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(panels), 3.4), layout="constrained")
    for number, (title, panel) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels), number + 1)
        for (label, (lines, name)), color in zip(
            panel["curves"].items(), ("#1f5a8a", "#d98324", "#4a8f5b"), strict=False
        ):
            points = [(line["step"], 100 * line[name]) for line in lines if name in line]
            axes.plot(
                *zip(*points, strict=True),
                "o-",
                ms=3,
                color=color,
                label=label,
            )
        chance = 100 * panel["k"] / panel["images"]
        axes.axhline(chance, color="#888888", linestyle="--", linewidth=1, label=f"chance {chance:.1f} %")
        axes.set(title=title, xlabel="training step", ylabel=f"{panel['what']}, %", xlim=(0, None), ylim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    FigureCanvasAgg(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    for suffix in (".png", ".svg"):
        figure.savefig(path.with_suffix(suffix), dpi=130, metadata={"Date": None} if suffix == ".svg" else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="Folder for data and runs; kept.")
    parser.add_argument("--scenes", type=int, default=6000)
    parser.add_argument("--plot", type=Path, help="Draw the curves to this file, as PNG and SVG.")
    arguments = parser.parse_args()
    work = arguments.work.resolve()

    drawn = {split: draw(work, split, n) for split, n in (("train", arguments.scenes), ("test", UNSEEN))}
    both = train(work, "both", drawn["train"], drawn["test"], EVAL_EVERY)
    short = train(work, "short", drawn["train"], drawn["test"], "train_on=short", EVAL_EVERY)
    report("drawn scenes, trained on both texts", both, "long", UNSEEN)
    report("drawn scenes, trained on both texts", both, "short", UNSEEN)
    report("drawn scenes, trained on short texts alone", short, "long", UNSEEN)
    report("drawn scenes, trained on short texts alone", short, "short", UNSEEN)
    name = "eval_long_t2i_r1"
    print(f"long queries, text to image R@1: both / short only = {both[-1][name] / max(short[-1][name], 1e-9):.1f}")
    curves = {"both texts": (both, name), "short texts alone": (short, name)}
    panels: dict[str, dict[str, Any]] = {
        "Drawn scenes, from scratch": {"what": "R@1, long text to image", "k": 1, "images": UNSEEN, "curves": curves}
    }
    writers = {"ucm": ("UCM-Captions", write_ucm, "val"), "rsicd": ("RSICD on AID images", write_rsicd, "test")}
    for key, (title, write, held_out) in writers.items():
        paths = {split: work / f"{key}_{split}" for split in ("train", "test")}
        for split, path in paths.items():
            if not path.exists():
                write(real_data(), held_out if split == "test" else split, path / "a.parquet")
        lines = train(work, key, paths["train"], paths["test"], *REAL)
        images = len(read_held_out([paths["test"]], load(str(work / key / "model"))).pixels_NCHW)
        report(title, lines, "short", images)
        ways = {"text to image": "eval_short_t2i_r5", "image to text": "eval_short_i2t_r5"}
        curves = {label: (lines, name) for label, name in ways.items()}
        panels[f"{title}, from scratch"] = {"what": "R@5, short texts", "k": 5, "images": images, "curves": curves}
    if arguments.plot:
        draw_curves(panels, arguments.plot)


if __name__ == "__main__":
    main()
