"""The experiment on filtering: some texts of the sample world are made false, and trainings leave out different rows.

Every training continues from the same start, with the same number of steps; a filter that keeps fewer rows repeats them
more often. The models are measured on unseen scenes whose texts are all true.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq

from lrs2m_builder.clip.model import load
from lrs2m_builder.dataset.tables import record_files
from lrs2m_builder.experiments import tiny
from lrs2m_builder.experiments.filtering_data import (
    FilteringData,
    make_data,
    score_truth,
    score_with_clip,
    score_with_judge,
)
from lrs2m_builder.experiments.filtering_measure import Hits, measure
from lrs2m_builder.experiments.filtering_report import Filtered, Line, write_report
from lrs2m_builder.experiments.registry import START, Size, Variant
from lrs2m_builder.files import read_json, write_json
from lrs2m_builder.sample import CAPTIONER
from lrs2m_builder.terminal import say
from lrs2m_builder.train.config import TrainConfig
from lrs2m_builder.train.index import Best, read_index
from lrs2m_builder.train.mixture import Order, row_weights
from lrs2m_builder.train.run import train

SHARE = 0.3  # of the texts are false
MANY_EPOCHS = 10_000  # a run ends with its steps
BOTH = ("caption_long", "caption_short")
_KEPT = 1 - SHARE


@dataclass(frozen=True, slots=True)
class Filter:
    """What a training leaves out.

    Attributes:
        data: the build that it reads.
        settings: its settings over those of all trainings.
        needs_judge: whether the judge's scores must be there.
    """

    name: str
    label: str
    data: Literal["pairs", "checked"] = "pairs"
    settings: Mapping[str, Any] = field(default_factory=dict)
    needs_judge: bool = False


def _best(by: str) -> dict[str, Any]:
    return {"best": _KEPT, "best_by": by}


FILTERS = (
    Filter("all", "all pairs"),
    Filter("random", "70 % at random"),
    Filter("checks", "what the checks accept", "checked"),
    Filter("clip", "best 70 % by CLIP score", settings=_best("clip_long_cosine + clip_short_cosine")),
    Filter("truth", "the true ones", settings={"where": "truth_holds"}),
    Filter("verify_mean", "best 70 % by verify, mean", settings=_best("verify_long_mean"), needs_judge=True),
    Filter("verify_min", "best 70 % by verify, min", settings=_best("verify_long_min"), needs_judge=True),
)


@dataclass(frozen=True, slots=True)
class FilteringSize:
    """How much is drawn and trained.

    Attributes:
        pairs: number of pairs, of which SHARE are false; as many true ones of other scenes make the start.
        steps: of each training, with 64 pairs each.
    """

    pairs: int = 800
    steps: int = 40
    start_epochs: int = 12
    batch_size: int = 64
    test_scenes: int = 294


def run_filtering(
    out_dir: Path, *, seeds: int = 3, size: FilteringSize | None = None, judge: Path = CAPTIONER
) -> Filtered:
    """Draw, spoil, score, train and measure what is missing; write filtering.md, .json, .png and .svg.

    Args:
        judge: the model that verifies the long texts.

    Raises:
        UserError: the folder holds another size of it, or cannot be written.
        Stopped, KeyboardInterrupt: by a signal; the same call resumes.
    """
    size = size or FilteringSize()
    drawn = Size(
        pairs=size.pairs,
        start_pairs=size.pairs,
        start_epochs=size.start_epochs,
        batch_size=size.batch_size,
        test_scenes=size.test_scenes,
    )
    world = tiny.make_world(out_dir / "world", drawn)
    data = make_data(world, out_dir / "world" / "false", num_pairs=size.pairs, share=SHARE, seed=0)
    start = tiny.train_variant(Variant("start", tiny=START), 0, world, out_dir / "runs", drawn)
    score_truth(data)
    score_with_clip(data, start)
    lines = []
    for each in FILTERS:
        if each.needs_judge:
            score_with_judge(data, judge)
        config = _config(each, size, drawn, start)
        hits = [_trained(each, config, seed, data, world, out_dir, size.test_scenes) for seed in range(seeds)]
        lines.append(Line(each.name, each.label, *_kept(each, config, data), tuple(hits)))
    settings = dataclasses.asdict(size) | {"false": SHARE, "seeds": seeds}
    report = Filtered(tuple(lines), settings, read_json(data.pairs / "scores" / "verify" / "score.json")["settings"])
    write_report(report, out_dir)
    return report


def _config(each: Filter, size: FilteringSize, drawn: Size, start: Path) -> TrainConfig:
    base = tiny.tiny_config(Variant("all", config="paper_b16"), drawn)
    changes: dict[str, Any] = {"start": str(start), "max_steps": size.steps, "epochs": MANY_EPOCHS, **each.settings}
    if each.name == "random":
        changes["num_pairs"] = round(_KEPT * size.pairs)
    return dataclasses.replace(base, **changes)


def _trained(
    each: Filter, config: TrainConfig, seed: int, data: FilteringData, world: tiny.World, out_dir: Path, num_twins: int
) -> Hits:
    """Train with a seed and measure; a measured model is not measured again."""
    path = out_dir / "results" / f"{each.name}-seed{seed}.json"
    if path.exists():
        return {test: np.array(values) for test, values in read_json(path).items()}
    say(f"{each.label}, seed {seed}")
    run_dir = out_dir / "runs" / f"{each.name}-seed{seed}"
    model_dir = train(dataclasses.replace(config, seed=seed), [getattr(data, each.data)], out_dir=run_dir)
    hits = measure(load(str(model_dir)), world.long_texts, num_twins)
    path.parent.mkdir(exist_ok=True)
    write_json(path, {test: values.tolist() for test, values in hits.items()})
    return hits


def _kept(each: Filter, config: TrainConfig, data: FilteringData) -> tuple[int, dict[str, int]]:
    """How many rows a filter leaves (of the first seed), and how many false ones of each kind."""
    folder = getattr(data, each.data)
    best = Best(config.best, config.best_by) if config.best is not None and config.best_by is not None else None
    index = read_index([folder], BOTH, config.where, best, say=lambda _: None)
    order = Order(0, config.batch_size, config.pool_rows, {}, config.num_pairs)
    is_kept = row_weights(index, order) > 0
    ids = [
        sample_id
        for file in record_files(folder)
        for sample_id in pq.read_table(file, columns=["sample_id"])[0].to_pylist()
    ]
    errors = [data.errors.get(sample_id) for sample_id, kept in zip(ids, is_kept, strict=True) if kept]
    return len(errors), {kind: errors.count(kind) for kind in ("object", "count", "place")}
