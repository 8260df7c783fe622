"""Evaluate localization in large images.

Zero-shot: finds where in an image of thousands of pixels the content of a text is. Prints R_su, R_as, R_da and R_mi
(docs/eval.md); --out also gets a picture of each map.

Example:
    lrs2m eval selo annotations/anno.json --images imgs --model run --out results
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lrs2m_builder.evals.members._files import json_files
from lrs2m_builder.evals.record import Evaluation, MainRow, Picture, Prepared, Result, Run, Test
from lrs2m_builder.evals.selo.queries import AIR_SLT, AIR_SLT_NUMBERS, fingerprint, read_queries, set_name

if TYPE_CHECKING:
    from lrs2m_builder.clip.model import Loaded

NUM_MAPS = 4  # maps in a report


def _prepare(
    data: Annotated[
        Path, typer.Argument(metavar="FILE", help="Texts and regions in the format of AIR-SLT's anno.json.")
    ],
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Image folder. By default the folder of FILE.")
    ] = None,
    compat: Annotated[
        bool,
        typer.Option(
            "--compat/--no-compat",
            help="Leave out the JPEG compression of crops and maps that the published code has.",
        ),
    ] = True,
) -> Prepared:
    data = Path(data)
    image_dir = images or data.parent
    queries = read_queries(data, image_dir)

    def measure(loaded: Loaded, run: Run) -> tuple[Mapping[str, float], Mapping[str, Any]]:
        from lrs2m_builder.evals.selo.run import evaluate

        return evaluate(
            loaded,
            queries,
            compat=compat,
            overlay_dir=run.file("maps") if run.out_dir else None,
            workers=run.workers,
            show_progress=run.show_progress,
        )

    return Prepared(
        dataset=set_name(queries, data.absolute().parent.name),
        num_images=len({query.image_path for query in queries}),
        num_texts=len(queries),
        settings={
            "compat": compat,
            "data": {"path": str(data), "images": str(image_dir), **fingerprint(queries)},
        },
        measure=measure,
        draw_for_report=_first_maps,
    )


def _first_maps(loaded: Loaded, result: Result, run: Run) -> list[Picture]:
    maps = sorted(run.file("maps").glob("*.png"))[:NUM_MAPS]
    return [(f"Text {number} over its image", each) for number, each in enumerate(maps, start=1)]


def _find(data: str) -> list[Test]:
    tests = []
    for file, folder, content in json_files(Path(data)):
        if isinstance(content, list) and content and isinstance(content[0], dict) and "points" in content[0]:
            images = next((folder / name for name in ("imgs", "images") if (folder / name).is_dir()), folder)
            name = set_name(read_queries(file, images), folder.name)
            tests.append(Test("selo", str(file), name, {"images": images}))
    return tests


def _lines(result: Result) -> list[str]:
    values = "  ".join(f"{name} {value:.4f}" for name, value in result.metrics.items())
    return [f"{result.num_texts} texts over {result.num_images} images", f"{values}  (lower is better for r_as)"]


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
    help=__doc__,
    prepare=_prepare,
    find=_find,
    data="AIR-SLT's anno.json",
    lines=_lines,
    metrics={"r_su": "R_su ↑", "r_as": "R_as ↓", "r_da": "R_da ↑", "r_mi": "R_mi ↑"},
    head="r_mi",
    is_percent=False,
    main_row=MainRow("table_v", "ViT-B/16 LRSCLIP", "r_mi"),
    paper_data=_paper_data,
    sets=(AIR_SLT,),
    searches_leaks=False,
    notes=_notes,
)
