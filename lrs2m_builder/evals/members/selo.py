"""SeLo: zero-shot localization of texts in large images."""

from __future__ import annotations

from pathlib import Path

from lrs2m_builder.evals.record import Evaluation, MainRow, Result
from lrs2m_builder.evals.selo.queries import AIR_SLT, AIR_SLT_NUMBERS


def _notes(result: Result, is_papers: bool) -> list[str]:
    notes = []
    if is_papers and (result.num_texts, result.num_images) != AIR_SLT_NUMBERS:
        notes.append("AIR-SLT has 59 texts over 22 images: the paper's rows are of other data")
    if not result.settings.get("compat", True):
        notes.append("without the JPEG round trips of the published protocol: not comparable to the last digits")
    return notes


def _paper_data(dataset: str, benchmarks: Path) -> tuple[str, ...]:
    folder = benchmarks / "selo_air_slt"
    return (str(folder / "annotations" / "anno.json"), "--images", str(folder / "imgs"))


EVALUATION = Evaluation(
    name="selo",
    title="Semantic localization",
    abbreviation="SeLo",
    metrics={"r_su": "R_su ↑", "r_as": "R_as ↓", "r_da": "R_da ↑", "r_mi": "R_mi ↑"},
    head="r_mi",
    is_percent=False,
    main_row=MainRow("table_v", "ViT-B/16 LRSCLIP", "r_mi"),
    paper_data=_paper_data,
    sets=(AIR_SLT,),
    searches_leaks=False,
    notes=_notes,
)
