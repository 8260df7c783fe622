"""`lrs2m publish`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lrs2m_builder.commands import Json, print_json
from lrs2m_builder.commands.export import ReviewedOption, Where, WithoutOption
from lrs2m_builder.errors import UserError


def publish_command(
    data: Annotated[
        list[Path], typer.Argument(help="The --out of builds, or folders of Parquet files with their columns.")
    ],
    repo_id: Annotated[str, typer.Option(help="NAMESPACE/NAME of the data set on the Hub; made if it is not there.")],
    captions_only: Annotated[
        bool, typer.Option("--captions-only", help="Publish no image, only their names and hashes.")
    ] = False,
    with_images: Annotated[
        bool, typer.Option("--with-images", help="Publish all images: you hold the right to, whatever manifests say.")
    ] = False,
    private: Annotated[bool, typer.Option("--private", help="Make a new data set private.")] = False,
    reviewed: ReviewedOption = None,
    without: WithoutOption = None,
    where: Where = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write the tree and say what would be uploaded; needs no token.")
    ] = False,
    dest: Annotated[
        Path | None, typer.Option(help="Folder of the tree that is uploaded; default: beside the data, with .hub.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Put data sets on the Hub as one, with a card; run it again after a stop and it goes on."""
    from lrs2m_builder.publish import publish
    from lrs2m_builder.selection import Filters

    if captions_only and with_images:
        raise UserError("--captions-only and --with-images: give one of them")
    report = publish(
        data,
        repo_id,
        images=with_images if captions_only or with_images else None,
        private=private,
        filters=Filters((), reviewed.value if reviewed else None, without_audit=without is not None, where=where),
        dest=dest,
        dry_run=dry_run,
    )
    if as_json:
        print_json(asdict(report))
        return
    width = max(len(split.subset) for split in report.splits)
    for split in report.splits:
        what = "with images" if split.with_images else "captions only"
        megabytes = f"{split.file_bytes / 1e6:,.1f} MB"
        print(f"{split.subset:<{width}} {split.rows:>9,} pairs  {split.files:>4} shards  {megabytes:>12}  {what}")
    if report.uploaded is None:
        print(f"would upload to {report.repo_id}, from {report.tree}:")
        for name, size in report.files.items():
            print(f"  {size / 1e6:>9,.3f} MB  {name}")
        return
    print(f"{'published' if report.uploaded.changed else 'nothing new for'} {report.uploaded.url}, from {report.tree}")
