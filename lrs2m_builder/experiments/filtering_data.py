"""The data of the experiment on filtering: pairs of which some have false texts, with every score to filter by."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.run import build
from lrs2m_builder.checks import Level
from lrs2m_builder.clip.model import load
from lrs2m_builder.dataset.scores.clip import ClipOptions, score_clip
from lrs2m_builder.dataset.scores.table import RowScores, Scoring, text_sha256
from lrs2m_builder.dataset.scores.write import score_table
from lrs2m_builder.dataset.verify.run import VerifyOptions, verify
from lrs2m_builder.engines import engine_module
from lrs2m_builder.errors import Stopped
from lrs2m_builder.experiments.tiny import TRAIN_SEED, World
from lrs2m_builder.files import read_json, write_json
from lrs2m_builder.sample.drawing.scene import draw_scene
from lrs2m_builder.sample.false_texts import write_false_texts
from lrs2m_builder.stores.outputs import finished_folder
from lrs2m_builder.terminal import say

SCENES, FALSE = "scenes.jsonl", "false.json"
# What compares a published text with the labels, or with itself; the recipe has none of them for published texts.
CHECKS = ("anchor_count", "anchor_extra", "unsupported_object", "direction")


@dataclass(frozen=True, slots=True)
class FilteringData:
    """Pairs of which some texts are false.

    Attributes:
        pairs: the build of all of them, with the scores truth, clip and verify.
        checked: the build in which the checks against the labels reject rows.
        errors: what is wrong ("object", "count", "place"), by the sample_id of the rows with false texts.
    """

    pairs: Path
    checked: Path
    errors: Mapping[str, str]


def make_data(world: World, folder: Path, *, num_pairs: int, share: float, seed: int) -> FilteringData:
    """Make some texts of the world's training scenes false, and build twice; what is there is not made again.

    Raises:
        Stopped: by a signal; the same call resumes.
    """
    scenes = folder / "scenes"
    if not scenes.is_dir():
        with finished_folder(scenes) as part:
            _spoil(world.pairs.parents[3] / "scenes", part, num_pairs, share, seed)
    errors = {f"sample/{image}": said["error"] for image, said in read_json(scenes / FALSE).items()}
    data = FilteringData(folder / "pairs", folder / "checked", errors)
    _build(scenes, data.pairs, num_pairs, {})
    _build(scenes, data.checked, num_pairs, dict.fromkeys(CHECKS, "error"))
    return data


def score_truth(data: FilteringData) -> None:
    """Write the score that knows the truth: whether the texts of a row hold, and what is wrong if not."""
    errors = data.errors
    scoring = Scoring("truth", "experiment", {"errors": len(errors)}, {"holds": pa.bool_(), "error": pa.string()})
    with score_table(data.pairs, scoring, say) as table:
        for file in table.files:
            rows = pq.read_table(file.path, columns=["sample_id", "caption_short", "caption_long"])
            with table.open_shard(file) as shard:
                for row in rows.to_pylist() if shard.unknown else ():
                    error = errors.get(row["sample_id"])
                    hashes = text_sha256(row["caption_short"]), text_sha256(row["caption_long"])
                    shard.keep([RowScores(row["sample_id"], *hashes, {"holds": error is None, "error": error})])
                shard.finish()


def score_with_clip(data: FilteringData, model: Path) -> None:
    """Write the scores of a CLIP, of both texts."""
    score_clip(data.pairs, load(str(model), context_length=None), ClipOptions(), say, notes={})


def score_with_judge(data: FilteringData, judge: Path) -> None:
    """Write the scores of a judge, of the long texts, which hold all errors.

    Raises:
        Stopped: by a signal; the same call resumes.
    """
    options = VerifyOptions(data.pairs, str(judge), engine="transformers", texts=("long",))
    if verify(options, engine_module("transformers")).run.stopped:
        raise Stopped


def _spoil(scenes: Path, part: Path, num_pairs: int, share: float, seed: int) -> None:
    """Copy the first scenes, with false texts in a share of them; FALSE says which, and what is wrong there."""
    lines = [json.loads(line) for line in (scenes / SCENES).read_text(encoding="utf-8").splitlines()[:num_pairs]]
    random = np.random.default_rng((seed, 17))
    errors: dict[str, dict[str, str]] = {}
    for index in random.permutation(len(lines)):
        if len(errors) == round(share * len(lines)):
            break
        if (made := write_false_texts(draw_scene(TRAIN_SEED, int(index)), random)) is not None:
            texts = made.texts
            lines[index] |= {"caption_long": texts.long, "caption_short": texts.short, "captions": list(texts.captions)}
            errors[lines[index]["image"]] = {"error": made.error, "class": made.name}
    (part / "images").mkdir()
    for line in lines:
        os.link(scenes / "images" / line["image"], part / "images" / line["image"])
    shutil.copy(scenes / "manifest.yaml", part)
    (part / SCENES).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    write_json(part / FALSE, errors)


def _build(scenes: Path, out_dir: Path, shard_size: int, checks: Mapping[str, Level]) -> None:
    options = BuildOptions(
        recipe="merge", source="sample", data_dir=scenes, out_dir=out_dir, shard_size=shard_size, checks=checks
    )
    if build(options, engine_module("vllm")).stopped:
        raise Stopped
