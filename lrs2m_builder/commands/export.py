"""`lrs2m export`."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from lrs2m_builder.commands import Json, print_json
from lrs2m_builder.terminal import show


class TextChoice(StrEnum):
    """Values of --text."""

    LONG, SHORT, BOTH = "long", "short", "both"


class ImagesChoice(StrEnum):
    """Values of --images."""

    EMBED, COPY, REFERENCE = "embed", "copy", "reference"


class ReviewedChoice(StrEnum):
    """Values of --reviewed."""

    ACCEPT, NOT_FLAGGED = "accept", "not-flagged"


class WithoutChoice(StrEnum):
    """Values of --without."""

    AUDIT = "audit"


Subsets = Annotated[list[str] | None, typer.Option("--subset", help="Only this subset; repeatable.")]
ReviewedOption = Annotated[
    ReviewedChoice | None,
    typer.Option(help="Only rows that were accepted in lrs2m view, or all that were not flagged."),
]
WithoutOption = Annotated[
    WithoutChoice | None, typer.Option(help="audit: leave out what lrs2m audit says should be removed.")
]
Where = Annotated[
    str | None, typer.Option(help="Only rows that fulfil this SQL condition on their columns.", metavar="SQL")
]


def export_command(
    data: Annotated[
        Path, typer.Argument(help="The --out of a build, or any folder of Parquet files with its columns.")
    ],
    dest: Annotated[Path, typer.Argument(help="A new folder to write to; it appears when it is complete.")],
    to: Annotated[str, typer.Option(help="json, webdataset, csv (open_clip's table) or mgrs (MGRS-200k's JSON).")],
    subset: Subsets = None,
    reviewed: ReviewedOption = None,
    without: WithoutOption = None,
    where: Where = None,
    text: Annotated[TextChoice, typer.Option(help="Which texts of a row.")] = TextChoice.BOTH,
    images: Annotated[
        ImagesChoice | None,
        typer.Option(help="Images inside the file, as files beside it, or by name alone; default: as fits the format."),
    ] = None,
    image_prefix: Annotated[str, typer.Option(help="Put before the path of every image.")] = "",
    lines: Annotated[bool, typer.Option("--lines", help="json: an object a line (records.jsonl), no list.")] = False,
    max_size: Annotated[int, typer.Option(min=1, help="webdataset: megabytes a tar at most.")] = 1000,
    as_json: Json = False,
) -> None:
    """Write a data set in another format, or the part of it that is wanted."""
    from lrs2m_builder.dataset.export._base import Options
    from lrs2m_builder.dataset.export._run import export
    from lrs2m_builder.dataset.selection import Filters

    filters = Filters(
        tuple(subset or ()), reviewed.value if reviewed else None, without_audit=without is not None, where=where
    )
    options = Options(text=text.value, image_prefix=image_prefix, lines=lines, max_bytes=max_size * 10**6)
    report = export(data, to, dest, filters, options, images.value if images else None)
    if as_json:
        result: dict[str, Any] = asdict(report)
        print_json(result)
        return
    show(
        f"{report.rows:,} of {report.of:,} rows in {report.files:,} files, {report.bytes / 1e6:,.1f} MB: {report.dest}"
    )
    for license_, rows in report.licenses.items():
        show(f"  {rows:>9,}  {license_ or 'no licence stated'}")
