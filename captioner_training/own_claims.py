"""Claims of what the finished captioner writes of scenes that it has not seen, with their truth: its calibration.

`lrs2m verify --calibrate` measures the judge on them and writes the thresholds that lie beside its weights.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from transformers import PreTrainedTokenizerFast

from captioner_training.model import Trainee
from captioner_training.own_texts import Sampling, own_texts
from captioner_training.said import decided
from captioner_training.scenes import Scenes, draw
from lrs2m_builder.sample.drawing.scene import draw_scene
from lrs2m_builder.verify.claim_set import SCHEMA
from lrs2m_builder.verify.claims import claims_of

UNSEEN_SEED, NUM_SCENES = 3000, 400
HINTED = 0.5  # of the texts
AS_RECIPES = Sampling(temperature=0.7, top_p=0.9)


def write_own_claims(trainee: Trainee, tokenizer: PreTrainedTokenizerFast, work: Path, out: Path) -> None:
    """Write the claims of a text of each scene, in the columns of `lrs2m claims`."""
    folder = work / "unseen"
    draw(folder, NUM_SCENES, UNSEEN_SEED)
    scenes = Scenes(folder, num_views=1)
    texts = own_texts(trainee.eval(), tokenizer, scenes, range(NUM_SCENES), AS_RECIPES, HINTED)
    rows = [row for number, text in sorted(texts) for row in _rows(number, text, scenes)]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), out, compression="zstd")


def _rows(number: int, text: str, scenes: Scenes) -> Iterator[dict[str, Any]]:
    file = io.BytesIO()
    draw_scene(UNSEEN_SEED, number).image.save(file, "PNG")
    image = {"bytes": file.getvalue(), "path": f"{number}.png"}
    for claim in claims_of(text):
        if known := decided(claim.words, claim.kind, scenes.truth(number)):
            off = known.off or None
            yield {"sample_id": f"own/{number}", "image": image, "kind": claim.kind, "words": claim.words} | {
                "is_true": known.is_true,
                "name": known.name,
                "off": off,
                "prior": None,
            }
