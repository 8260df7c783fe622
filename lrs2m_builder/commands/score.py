"""`lrs2m score`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, cast

import typer

from lrs2m_builder.commands import DataSetArgument, ImageDir, Json, print_json, say_only_first
from lrs2m_builder.commands.eval import ContextLength, Device, Model, Revision
from lrs2m_builder.errors import MissingExtraError, UserError
from lrs2m_builder.terminal import say, show

if TYPE_CHECKING:
    from lrs2m_builder.dataset.scores.clip import TextKind

_TEXTS = ("long", "short")


def score_command(
    data: DataSetArgument,
    model: Model,
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the scores; conditions call them NAME_long_cosine and so on.")
    ] = "clip",
    texts: Annotated[
        str, typer.Option(metavar="long,short", help="Texts to score, with commas between them.")
    ] = "long,short",
    rank_among: Annotated[
        int, typer.Option(metavar="N", min=1, help="Number of texts of other images that each text is ranked among.")
    ] = 1000,
    rotations: Annotated[
        bool,
        typer.Option(
            "--rotations", help="Also score the image turned by 90, 180 and 270 degrees: four times the work."
        ),
    ] = False,
    images: ImageDir = None,
    allow_leak: Annotated[
        bool, typer.Option("--allow-leak", help="Score even if the model was trained on this data set.")
    ] = False,
    context_length: ContextLength = None,
    device: Device = None,
    revision: Revision = None,
    as_json: Json = False,
) -> None:
    """Score how well texts fit their images.

    A CLIP gives each text its similarity to the image and its rank among texts of other images, from 0 (best) to 1.
    The scores lie beside the data, which stay as they are; --where of other commands knows them. Run the same command
    again to resume after a stop, or to score new rows. Needs the extra 'train'. Details: docs/scores.md.

    Example:
        lrs2m score out --model clip-b16
    """
    kinds = tuple(text.strip() for text in texts.split(","))
    if not set(kinds) <= set(_TEXTS) or len(set(kinds)) < len(kinds):
        raise UserError(f"--texts {texts}: give long, short or long,short")
    try:
        from lrs2m_builder.dataset.scores.clip import ClipOptions, score_clip
        from lrs2m_builder.dataset.scores.places import check_name, scored_files, the_home
        from lrs2m_builder.evals.leakage import training_data
        from lrs2m_builder.evals.models import open_model
    except ImportError as error:
        raise MissingExtraError("lrs2m score", "train", error) from error
    check_name(name)
    home = the_home(scored_files(data)).resolve()
    trained_on = [path.resolve() for path in training_data(model)]
    if any(home == path or home in path.parents for path in trained_on) and not allow_leak:
        raise UserError(
            f"--model {model}: was trained on {data}, so it likes its texts, right or wrong; score with another model, "
            "or with --allow-leak"
        )
    say_only_first(data)
    loaded = open_model(model, device=device, context_length=context_length, revision=revision)
    report = score_clip(
        data,
        loaded,
        ClipOptions(name, cast("tuple[TextKind, ...]", kinds), rank_among, rotations, images),
        say,
        notes={"trained_on": [str(path) for path in trained_on]},
        show_progress=sys.stderr.isatty(),
    )
    if as_json:
        print_json(asdict(report))
        return
    show(f"{report.name}: {report.scored:,} of {report.rows:,} rows scored, {report.known:,} had a score")
    if report.num_missing:
        show(f"  {report.num_missing:,} images cannot be read, such as {'; '.join(report.examples)}")
