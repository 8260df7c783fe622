"""Evaluate retrieval with short texts.

As zcrl, with short captions: usually five per image.

Example:
    lrs2m eval zcrs dataset_RSITMD.json --images RSITMD/images --model clip-b16
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from lrs2m_builder.evals.members import _retrieval
from lrs2m_builder.evals.record import Evaluation, MainRow, Test

SETS = ("RSITMD", "RSICD")


def _find(data: str) -> list[Test]:
    return _retrieval.find_texts("zcrs", data, SETS, ("caption_short", "captions"), is_long=False)


def _paper_data(dataset: str, benchmarks: Path) -> tuple[str, ...]:
    return (dataset.lower(), "--images", str(benchmarks / dataset.lower()))


EVALUATION = Evaluation(
    name="zcrs",
    title="Retrieval with short texts",
    abbreviation="ZCRS",
    help=__doc__,
    prepare=partial(_retrieval.prepare, _retrieval.SHORT_COLUMNS),
    find=_find,
    data=_retrieval.DATA,
    lines=_retrieval.lines,
    metrics=_retrieval.METRICS,
    head="mr",
    main_row=MainRow("table_iii", "RSITMD ViT-B/16 LRSCLIP", "mr"),
    paper_data=_paper_data,
    sets=SETS,
    ablation_sets=1,
    by_chance=_retrieval.by_chance,
)
