"""ZCRS: zero-shot retrieval of images by short texts, and of short texts by images."""

from __future__ import annotations

from pathlib import Path

from lrs2m_builder.evals.members._retrieval import METRICS, by_chance
from lrs2m_builder.evals.record import Evaluation, MainRow


def _paper_data(dataset: str, benchmarks: Path) -> tuple[str, ...]:
    return (dataset.lower(), "--images", str(benchmarks / dataset.lower()))


EVALUATION = Evaluation(
    name="zcrs",
    title="Retrieval with short texts",
    abbreviation="ZCRS",
    metrics=METRICS,
    head="mr",
    main_row=MainRow("table_iii", "RSITMD ViT-B/16 LRSCLIP", "mr"),
    paper_data=_paper_data,
    sets=("RSITMD", "RSICD"),
    ablation_sets=1,
    by_chance=by_chance,
)
