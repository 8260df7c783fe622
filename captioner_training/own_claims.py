"""Claims of what the finished captioner writes of scenes that it has not seen, with their truth: its calibration.

`lrs2m verify --calibrate` measures the judge on them and writes the thresholds that lie beside its weights.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from transformers import PreTrainedTokenizerFast

from captioner_training.claim_words import Claim, one_of
from captioner_training.claims import ClaimMaker
from captioner_training.model import Trainee
from captioner_training.own_texts import Sampling, own_texts
from captioner_training.said import decided
from captioner_training.scenes import Scenes, draw
from lrs2m_builder.sample.drawing.scene import Scene, draw_scene
from lrs2m_builder.verify.claim_set import SCHEMA
from lrs2m_builder.verify.claims import claims_of

UNSEEN_SEED, NUM_SCENES = 3000, 400
HINTED = 0.5  # of the texts
AS_RECIPES = Sampling(temperature=0.7, top_p=0.9)


def write_own_claims(trainee: Trainee, tokenizer: PreTrainedTokenizerFast, work: Path, out: Path) -> None:
    """Write the claims of a text of each scene, in the columns of `lrs2m claims`.

    It writes no denials, so one about each scene is added.
    """
    folder = work / "unseen"
    draw(folder, NUM_SCENES, UNSEEN_SEED)
    scenes = Scenes(folder, num_views=1)
    texts = dict(own_texts(trainee.eval(), tokenizer, scenes, range(NUM_SCENES), AS_RECIPES, HINTED))
    maker, random = ClaimMaker([scenes.truth(number) for number in range(NUM_SCENES)]), np.random.default_rng(19)
    rows = list[dict[str, Any]]()
    for number in range(NUM_SCENES):
        scene = scenes.truth(number)
        claims = [decided(claim.words, claim.kind, scene) for claim in claims_of(texts.get(number, ""))]
        rows += _rows(number, [claim for claim in claims if claim] + [_denial(maker, scene, number % 2 == 0, random)])
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), out, compression="zstd")


def _denial(maker: ClaimMaker, scene: Scene, true: bool, random: np.random.Generator) -> Claim:
    name = maker.absent(scene, random) if true else one_of(list(scene.counts), random)
    return Claim(f"There are no {name}s in the image.", true, "text denial", name=name)


def _rows(number: int, claims: Sequence[Claim]) -> Iterator[dict[str, Any]]:
    file = io.BytesIO()
    draw_scene(UNSEEN_SEED, number).image.save(file, "PNG")
    shared = {"sample_id": f"own/{number}", "image": {"bytes": file.getvalue(), "path": f"{number}.png"}}
    for claim in claims:
        kind = claim.kind.removeprefix("text ")
        known = {"kind": kind, "words": claim.words, "is_true": claim.is_true, "name": claim.name}
        yield shared | known | {"off": claim.off or None, "prior": None}
