"""ZIC: zero-shot classification of scenes."""

from __future__ import annotations

from pathlib import Path

from lrs2m_builder.evals.record import Evaluation, MainRow


def _by_chance(num_images: int, num_classes: int) -> dict[str, float]:
    return {"accuracy": 1 / num_classes}


def _paper_data(dataset: str, benchmarks: Path) -> tuple[str, ...]:
    """The folder of the set's name; without one, the set comes from the Hub."""
    name = dataset.lower().replace("_", "-")
    return (str(benchmarks / name), "--classes", name) if (benchmarks / name).is_dir() else (name,)


EVALUATION = Evaluation(
    name="zic",
    title="Classification",
    abbreviation="ZIC",
    metrics={"accuracy": "accuracy"},
    head="accuracy",
    texts="classes",
    main_row=MainRow("table_iv", "ViT-B/16 LRSCLIP", "mean"),
    paper_data=_paper_data,
    sets=("RESISC45", "EuroSAT", "PatternNet", "WHU-RS19", "OPTIMAL-31", "RS_C11"),
    columns_are_sets=True,
    by_chance=_by_chance,
)
