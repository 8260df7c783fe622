"""`lrs2m sources`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lrs2m_builder.commands import Json, print_json
from lrs2m_builder.errors import UserError
from lrs2m_builder.manifest import load_manifest
from lrs2m_builder.printing import survey_lines
from lrs2m_builder.survey import describe, list_sources, survey
from lrs2m_builder.terminal import show


def sources_command(
    name: Annotated[str | None, typer.Argument(help="A source to describe, or to read with --data-dir.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Read the source in this folder for real.")] = None,
    as_json: Json = False,
) -> None:
    """List the sources; describe one; or read one for real and report what is there and what is missing."""
    if name is None:
        if data_dir is not None:
            raise UserError("--data-dir: say which source to read there: lrs2m sources NAME --data-dir DIR")
        manifests = list_sources()
        if as_json:
            print_json({m.name: m.model_dump(mode="json") for m in manifests})
            return
        for manifest in manifests:
            show(f"{manifest.name:<12} {manifest.title} ({manifest.viewpoint})")
        return
    manifest = load_manifest(name)
    if data_dir is None:
        print_json(manifest.model_dump(mode="json")) if as_json else show("\n".join(describe(manifest)))
        return
    result = survey(manifest, data_dir, show_progress=sys.stderr.isatty())
    if as_json:
        print_json(result.as_dict())
        return
    show("\n".join([*describe(manifest), *survey_lines(manifest, result)]))
