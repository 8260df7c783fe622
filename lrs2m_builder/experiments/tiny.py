"""The tiny scale: a world drawn and built here, a start trained on it, and trainings from there; minutes on a CPU.

The start takes the place that CLIP has in the paper: a model trained on short texts only, in a context of 77 tokens, on
scenes that no other training sees. It is stretched to 248 tokens as in the paper, and every training continues from it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.run import build
from lrs2m_builder.clip.model import random_model
from lrs2m_builder.clip.save import save
from lrs2m_builder.engines import engine_module
from lrs2m_builder.errors import Stopped
from lrs2m_builder.evals.models import open_model
from lrs2m_builder.evals.record import Run
from lrs2m_builder.evals.registry import find_tests, paper_tests
from lrs2m_builder.evals.results import read_results, write_result
from lrs2m_builder.evals.run import evaluate
from lrs2m_builder.experiments.registry import START, Size, Variant
from lrs2m_builder.sample.formats import write_sample_source
from lrs2m_builder.stores.outputs import finished_folder
from lrs2m_builder.terminal import say
from lrs2m_builder.train.config import TrainConfig, changed
from lrs2m_builder.train.named_configs import CONFIGS, paper_b16, tiny
from lrs2m_builder.train.run import train

SETS: dict[str, tuple[str, ...]] = dict.fromkeys(paper_tests(), ("drawn scenes",))
TRAIN_SEED, TEST_SEED = 1, 2  # different seeds give different scenes
CONTEXT_OF_START = 77
# Random models, shaped to each other as B/16, B/32 and L/14 are.
SHAPES: dict[str, dict[str, int]] = {
    START: {"vision_width": 128, "num_layers": 3, "image_size": 64, "patch_size": 16, "embed_dim": 64},
    "start_coarse": {"vision_width": 128, "num_layers": 3, "image_size": 64, "patch_size": 32, "embed_dim": 64},
    "start_wide": {"vision_width": 192, "num_layers": 5, "image_size": 64, "patch_size": 16, "embed_dim": 96},
}
LONG_START = "start_long"  # the start after a first training on long texts, as Long-CLIP is to CLIP


@dataclass(frozen=True, slots=True)
class World:
    """Folders that all experiments share.

    Attributes:
        pairs, start_pairs: Parquet files to train on.
        long_texts: Parquet of unseen scenes; their long texts are for zcrl.
        scenes: the same scenes: dataset.json has captions for zcrs, images/ classes for zic, mosaics/ queries for selo.
    """

    pairs: Path
    start_pairs: Path
    long_texts: Path
    scenes: Path


def make_world(folder: Path, size: Size) -> World:
    """Draw and build what is missing.

    Raises:
        UserError: the folder cannot be written.
        Stopped: by a signal; the same call resumes.
    """
    built, test = folder / "train" / "built", folder / "test"
    _draw(folder / "train" / "scenes", "world", size.pairs + size.start_pairs, TRAIN_SEED)
    _build(folder / "train" / "scenes", built, shard_size=size.pairs)
    _draw(test / "scenes", "evaluation", size.test_scenes, TEST_SEED)
    _build(test / "scenes", test / "built", shard_size=size.test_scenes)
    first, second = sorted((built / "data").rglob("*.parquet"))
    return World(pairs=first, start_pairs=second, long_texts=test / "built", scenes=test / "scenes")


def train_variant(variant: Variant, seed: int, world: World, runs_dir: Path, size: Size) -> Path:
    """Train a variant, after the start that it continues from; returns the folder of the model."""
    if variant.tiny == START:
        return _train_start(START, world, runs_dir, size)
    config = tiny_config(variant, size)
    start = _train_start(config.start, world, runs_dir, size)
    run_dir = runs_dir / variant.run_name("tiny", seed)
    return train(dataclasses.replace(config, start=str(start), seed=seed), [world.pairs], out_dir=run_dir)


def evaluate_model(model_dir: Path, world: World, results_dir: Path, tests: Sequence[str]) -> None:
    """Run the evaluations of a model that have no result yet.

    Raises:
        UserError: the world's files are damaged.
    """
    there = {each.evaluation for each in read_results(results_dir)} if results_dir.is_dir() else set()
    if not (missing := [test for test in tests if test not in there]):
        return
    loaded = open_model(str(model_dir), device="cpu")
    run = Run(model=loaded.name, open_model=lambda: loaded)
    found = {test.evaluation: test for folder in (world.long_texts, world.scenes) for test in find_tests(str(folder))}
    for name in missing:
        say(f"{results_dir.name}: {name}")
        result, _ = evaluate(dataclasses.replace(found[name], name=SETS[name][0]), run)
        write_result(result, results_dir / f"{name}.json")


def tiny_config(variant: Variant, size: Size) -> TrainConfig:
    """What sets the variant apart from the paper's main training, over the settings of the tiny scale.

    Its start is the name of one of the starts.
    """
    paper, own = dataclasses.asdict(paper_b16()), dataclasses.asdict(CONFIGS[variant.config]())
    settings: dict[str, Any] = {name: value for name, value in own.items() if value != paper[name]}
    if isinstance(variant.tiny, Mapping) and variant.tiny:
        settings = dict(variant.tiny)
    if "num_pairs" in settings:  # of 2000, in place of the paper's two million
        settings["num_pairs"] = settings["num_pairs"] * size.pairs // 2000
    return changed(_base(size), {"start": START, **settings})


def _base(size: Size) -> TrainConfig:
    """The settings that all trainings of the tiny scale share; they run in one process."""
    return dataclasses.replace(
        tiny(),
        optimizer="adamw",
        lr=1e-3,
        weight_decay=0.1,
        warmup_steps=10,
        batch_size=size.batch_size,
        epochs=size.epochs,
        max_steps=size.max_steps,
        device="cpu",
        checkpoint_every=100_000,  # a run takes a minute and is simply repeated
    )


def _train_start(name: str, world: World, runs_dir: Path, size: Size) -> Path:
    base = _base(size)
    if name == LONG_START:
        start = _train_start(START, world, runs_dir, size)
        config = dataclasses.replace(base, start=str(start), train_on="first_sentence")
    else:
        start = runs_dir / f"{name}-random"
        if not start.exists():
            save(random_model(context_length=CONTEXT_OF_START, activation="quick_gelu", **SHAPES[name]), start)
        config = dataclasses.replace(
            base,
            start=str(start),
            context_length=CONTEXT_OF_START,
            frozen_positions=0,
            train_on="short",
            epochs=size.start_epochs,
        )
    return train(config, [world.start_pairs], out_dir=runs_dir / name)


def _draw(folder: Path, format_name: str, num_scenes: int, seed: int) -> None:
    if not folder.is_dir():
        with finished_folder(folder) as part:
            write_sample_source(format_name, part, num_scenes, seed)


def _build(scenes: Path, out_dir: Path, *, shard_size: int) -> None:
    options = BuildOptions(recipe="merge", source="sample", data_dir=scenes, out_dir=out_dir, shard_size=shard_size)
    if build(options, engine_module("vllm")).stopped:
        raise Stopped
