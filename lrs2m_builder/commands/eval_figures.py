"""`lrs2m eval figure1`, `figure2` and `figure3`: the paper's figures of retrieval and attention, as PNG and SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lrs2m_builder.commands.eval import ContextLength, Device, Model, Revision, load_model, shows_progress
from lrs2m_builder.errors import UserError
from lrs2m_builder.evals.members._options import DataRevision, ImageColumn
from lrs2m_builder.evals.members._retrieval import LONG_COLUMNS, SHORT_COLUMNS, Data, Images, Split, TextColumn
from lrs2m_builder.terminal import show

Figure = Annotated[Path, typer.Option("--out", metavar="FILE", help="Picture to write, as FILE.png and FILE.svg.")]


def figure1_command(
    data: Data,
    model: Model,
    out: Figure,
    images: Images = None,
    split: Split = None,
    text_column: TextColumn = None,
    image_column: ImageColumn = None,
    num_queries: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Number of text queries and of image queries, evenly spaced."),
    ] = 3,
    top_k: Annotated[int, typer.Option(metavar="N", min=1, max=10, help="Answers per query, at most 10.")] = 5,
    context_length: ContextLength = None,
    device: Device = None,
    revision: Revision = None,
    data_revision: DataRevision = None,
) -> None:
    """Draw Figure 1: nearest images and texts.

    Shows texts with their nearest images and images with their nearest texts; the correct answers are marked.

    Example:
        lrs2m eval figure1 RSITMD-L --model run --out figures/found
    """
    from lrs2m_builder.evals.data import IMAGE_COLUMNS, Columns, read_images

    columns = Columns(
        image=(image_column,) if image_column else IMAGE_COLUMNS,
        texts=(text_column,) if text_column else LONG_COLUMNS + SHORT_COLUMNS,
    )
    found = read_images(data, columns, split=split, image_dir=images, revision=data_revision)
    loaded = load_model(model, device=device, context_length=context_length, revision=revision)
    from lrs2m_builder.evals.figures.retrieval_sheet import draw_retrieval_sheet

    progress = shows_progress()
    _print(draw_retrieval_sheet(loaded, found, out, num_queries=num_queries, top_k=top_k, show_progress=progress))


def figure2_command(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="Image file.")],
    model: Model,
    text: Annotated[list[str], typer.Option(metavar="TEXT", help="Text to look for; one panel per text.")],
    out: Figure,
    context_length: ContextLength = None,
    device: Device = None,
    revision: Revision = None,
) -> None:
    """Draw Figure 2: heat maps of texts.

    Shows where in an image each text looks, by Grad-ECLIP (docs/eval.md).

    Example:
        lrs2m eval figure2 port.png --text "a ship" --text "a crane" --model run --out where
    """
    loaded = load_model(model, device=device, context_length=context_length, revision=revision)
    from lrs2m_builder.evals.figures.text_heat_sheet import draw_text_heat

    _print(draw_text_heat(loaded, image, text, out))


def figure3_command(
    results: Annotated[
        list[Path],
        typer.Argument(metavar="RESULT", help="Results of lrs2m eval zcrl --by-length, or folders of them."),
    ],
    out: Figure,
) -> None:
    """Draw Figure 3: R@1 by text length.

    Draws one line per model.

    Example:
        lrs2m eval figure3 results --out figures/lengths
    """
    from lrs2m_builder.evals.figures.length_plot import draw_length_plot
    from lrs2m_builder.evals.record import Result
    from lrs2m_builder.evals.results import read_result, read_results

    found: list[Result] = []
    for path in results:
        found += read_results(path) if path.is_dir() else [read_result(path)]
    if not found:
        raise UserError(f"{', '.join(map(str, results))}: no results of lrs2m eval")
    _print(draw_length_plot(found, out))


def _print(paths: list[Path]) -> None:
    show("\n".join(map(str, paths)))
