"""Evaluate retrieval with long texts.

Zero-shot: recall at 1, 5 and 10 from text to image and from image to text, and their mean (mR).

Example:
    lrs2m eval zcrl RSITMD-L --model run --out results
"""

from __future__ import annotations

from functools import partial

from lrs2m_builder.evals.members import _retrieval
from lrs2m_builder.evals.record import Evaluation, MainRow, Test

SETS = ("RSITMD-L", "RSICD-L")


def _find(data: str) -> list[Test]:
    return _retrieval.find_texts("zcrl", data, SETS, ("caption_long",), is_long=True, by_length=True)


EVALUATION = Evaluation(
    name="zcrl",
    title="Retrieval with long texts",
    abbreviation="ZCRL",
    help=__doc__,
    prepare=partial(_retrieval.prepare, _retrieval.LONG_COLUMNS),
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
