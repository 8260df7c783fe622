"""`lrs2m export`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from lrs2m_builder.commands import Json, StoredDataArgument, print_json
from lrs2m_builder.dataset.export import formats
from lrs2m_builder.dataset.export._base import ImageChoice, TextChoice
from lrs2m_builder.terminal import say, show

ReviewedOption = Annotated[
    Literal["accept", "not-flagged"] | None,
    typer.Option(
        metavar="accept|not-flagged", help="Keep only rows accepted in lrs2m view, or all except the flagged ones."
    ),
]
WithoutOption = Annotated[
    Literal["audit"] | None, typer.Option(metavar="audit", help="Leave out what lrs2m audit lists for removal.")
]
Where = Annotated[
    str | None,
    typer.Option(
        metavar="SQL",
        help="Keep only rows that meet this SQL condition on columns and scores, such as 'num_tokens_long > 77'.",
    ),
]


def export_command(
    data: StoredDataArgument,
    dest: Annotated[
        Path, typer.Argument(metavar="DEST", help="New folder to write; it appears when the export is complete.")
    ],
    to: Annotated[
        str, typer.Option(metavar="|".join(formats()), autocompletion=formats, help="Format to write (docs/share.md).")
    ],
    subset: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Export only this subset.")] = None,
    reviewed: ReviewedOption = None,
    without: WithoutOption = None,
    where: Where = None,
    text: Annotated[TextChoice, typer.Option(metavar="long|short|both", help="Texts to write per row.")] = "both",
    images: Annotated[
        ImageChoice | None,
        typer.Option(
            metavar="embed|copy|reference",
            help="Write images into the file, as files beside it, or only their names. Default: by format.",
        ),
    ] = None,
    image_prefix: Annotated[str, typer.Option(metavar="TEXT", help="Prefix of every image path.")] = "",
    lines: Annotated[
        bool, typer.Option("--lines", help="json: write one object per line (records.jsonl) instead of one list.")
    ] = False,
    max_size: Annotated[int, typer.Option(metavar="N", min=1, help="webdataset: maximum megabytes per tar.")] = 1000,
    as_json: Json = False,
) -> None:
    """Convert a data set to another format.

    Writes all rows or a selection as JSON, WebDataset, a table for open_clip (csv), the JSON of MGRS-200k (mgrs), or
    with their footprints on Earth as GeoParquet or STAC items. Formats: docs/share.md.

    Example:
        lrs2m export out wds --to webdataset --where "num_tokens_long <= 248"
    """
    from lrs2m_builder.dataset.copies import data_folder
    from lrs2m_builder.dataset.export._base import Options
    from lrs2m_builder.dataset.export._run import export
    from lrs2m_builder.dataset.selection import Filters

    filters = Filters(tuple(subset or ()), reviewed, without_audit=without is not None, where=where)
    options = Options(text=text, image_prefix=image_prefix, lines=lines, max_bytes=max_size * 10**6)
    report = export(data_folder(data, with_images=images != "reference"), to, dest, filters, options, images)
    for note in report.notes:
        say(note)
    if as_json:
        result: dict[str, Any] = asdict(report)
        print_json(result)
        return
    show(
        f"{report.rows:,} of {report.of:,} rows in {report.files:,} files, {report.bytes / 1e6:,.1f} MB: {report.dest}"
    )
    for license_, rows in report.licenses.items():
        show(f"  {rows:>9,}  {license_ or 'no licence stated'}")
