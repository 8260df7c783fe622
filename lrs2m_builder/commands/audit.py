"""`lrs2m audit`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lrs2m_builder.commands import Json, print_json
from lrs2m_builder.terminal import show


def audit_command(
    data: Annotated[
        Path, typer.Argument(help="The --out of a build, or any folder of Parquet files with its columns.")
    ],
    against: Annotated[
        list[Path] | None,
        typer.Option(help="Evaluation images: a folder, a Karpathy or COCO list in JSON, or Parquet. Repeatable."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the findings (default: audit/ in the data set).")] = None,
    remove_same_names: Annotated[
        bool, typer.Option("--remove-same-names", help="Also remove images that share but the name of one --against.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Find leaked and repeated images, captions said again and captions at odds; write a report and what to remove."""
    from lrs2m_builder.audit import as_json as json_of
    from lrs2m_builder.audit import audit
    from lrs2m_builder.audit_text import audit_lines

    result = audit(
        data,
        against or (),
        out_dir=out,
        remove_same_names=remove_same_names,
        show_progress=sys.stderr is not None and sys.stderr.isatty(),
    )
    if as_json:
        print_json(json_of(result))
        return
    show("\n".join(audit_lines(result)))
