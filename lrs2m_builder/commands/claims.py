"""`lrs2m claims`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lrs2m_builder.commands import Json, print_json
from lrs2m_builder.commands._data_dir import default_data_dir
from lrs2m_builder.commands.complete import source_names
from lrs2m_builder.errors import UserError
from lrs2m_builder.terminal import show


def claims_command(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", autocompletion=source_names, help="Labelled source: a name or a .yaml file."),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="New Parquet file, a row per claim with its image.")],
    data_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the source. 'sample' and tiles need none."),
    ] = None,
    per_kind: Annotated[
        int, typer.Option(metavar="N", min=2, help="Maximum claims per kind, half of them true.")
    ] = 2000,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Read only the first N samples.")] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the choice of claims.")] = 0,
    as_json: Json = False,
) -> None:
    """Make true and false claims from labels.

    Turns the labels of a source (boxes, masks, lists of classes) into statements about objects, numbers and places, as
    many false as true, and writes them with their images: a benchmark of any judge (lrs2m verify --calibrate,
    docs/verify.md).

    Example:
        lrs2m claims dota --data-dir dota --out dota-claims.parquet
    """
    from lrs2m_builder.declared.manifest import load_manifest
    from lrs2m_builder.sources import open_source
    from lrs2m_builder.verify.claim_set import write_claims

    manifest = load_manifest(source)
    folder = data_dir or default_data_dir(source)
    if folder is None:
        raise UserError(f"--data-dir: source {manifest.name} needs its folder. {manifest.get}")
    made = write_claims(open_source(manifest, folder), out, per_kind=per_kind, limit=limit, seed=seed)
    if as_json:
        print_json(asdict(made))
        return
    lines = [f"{made.path}: claims about {made.images:,} images"]
    lines += [f"  {true:>6,} true {false:>6,} false  {kind}" for kind, (true, false) in made.kinds.items()]
    lines += [f"  {count:>6,} images unusable: {reason}" for reason, count in sorted(made.unusable.items())]
    show("\n".join(lines))
