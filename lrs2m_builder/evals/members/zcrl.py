"""ZCRL: zero-shot retrieval of images by long texts, and of long texts by images."""

from __future__ import annotations

from lrs2m_builder.evals.members._retrieval import METRICS, by_chance
from lrs2m_builder.evals.record import Evaluation, MainRow

EVALUATION = Evaluation(
    name="zcrl",
    title="Retrieval with long texts",
    abbreviation="ZCRL",
    metrics=METRICS,
    head="mr",
    main_row=MainRow("table_ii", "RSITMD-L ViT-B/16 LRSCLIP", "mr"),
    sets=("RSITMD-L", "RSICD-L"),
    ablation_sets=1,
    by_chance=by_chance,
)
