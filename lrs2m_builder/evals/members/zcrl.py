"""Evaluate retrieval with long texts.

Zero-shot: recall at 1, 5 and 10 from text to image and from image to text, and their mean (mR).

Example:
    lrs2m eval zcrl RSITMD-L --model run --out results
"""

from __future__ import annotations

from typing import Annotated

import typer

from lrs2m_builder.evals.members import _retrieval
from lrs2m_builder.evals.members._options import DataRevision, ImageColumn, Seed
from lrs2m_builder.evals.record import Evaluation, MainRow, Prepared, Test

SETS = ("RSITMD-L", "RSICD-L")


def _prepare(
    data: _retrieval.Data,
    images: _retrieval.Images = None,
    split: _retrieval.Split = None,
    text_column: _retrieval.TextColumn = None,
    image_column: ImageColumn = None,
    data_revision: DataRevision = None,
    by_length: Annotated[
        bool, typer.Option("--by-length", help="Also report R@1 per text length (the data of Figure 3).")
    ] = False,
    robustness: Annotated[
        bool,
        typer.Option(
            "--robustness", help="Also evaluate with shuffled sentences, and without the first sentence of each text."
        ),
    ] = False,
    seed: Seed = 0,
) -> Prepared:
    return _retrieval.prepare(
        data,
        _retrieval.LONG_COLUMNS,
        images=images,
        split=split,
        text_column=text_column,
        image_column=image_column,
        data_revision=data_revision,
        by_length=by_length,
        robustness=robustness,
        seed=seed,
    )


def _find(data: str) -> list[Test]:
    return _retrieval.find_texts("zcrl", data, SETS, ("caption_long",), is_long=True, by_length=True)


EVALUATION = Evaluation(
    name="zcrl",
    title="Retrieval with long texts",
    abbreviation="ZCRL",
    help=__doc__,
    prepare=_prepare,
    find=_find,
    data=_retrieval.DATA,
    lines=_retrieval.lines,
    metrics=_retrieval.METRICS,
    head="mr",
    main_row=MainRow("table_ii", "RSITMD-L ViT-B/16 LRSCLIP", "mr"),
    sets=SETS,
    ablation_sets=1,
    by_chance=_retrieval.by_chance,
)
