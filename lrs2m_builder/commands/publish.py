"""`lrs2m publish`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lrs2m_builder.commands import Json, print_json
from lrs2m_builder.commands.export import ReviewedOption, Where, WithoutOption
from lrs2m_builder.errors import UserError
from lrs2m_builder.terminal import show

if TYPE_CHECKING:
    from lrs2m_builder.dataset.publish.run import PublishReport
    from lrs2m_builder.evals.publish_model import ModelReport


def publish_command(
    data: Annotated[
        list[Path],
        typer.Argument(help="The --out of builds, folders of Parquet files with their columns, or one run or model."),
    ],
    repo_id: Annotated[str, typer.Option(help="NAMESPACE/NAME on the Hub; made if it is not there.")],
    captions_only: Annotated[
        bool, typer.Option("--captions-only", help="Publish no image, only their names and hashes.")
    ] = False,
    with_images: Annotated[
        bool, typer.Option("--with-images", help="Publish all images: you hold the right to, whatever manifests say.")
    ] = False,
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    reviewed: ReviewedOption = None,
    without: WithoutOption = None,
    where: Where = None,
    results: Annotated[
        Path | None, typer.Option(help="Of a model: folder with what lrs2m eval wrote, for the card's tables.")
    ] = None,
    trained_on: Annotated[
        list[str] | None, typer.Option(help="Of a model: a data set on the Hub it was trained on, linked; repeatable.")
    ] = None,
    license_id: Annotated[
        str | None, typer.Option("--license", help="Of a model: its licence as the Hub names it, such as apache-2.0.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write the tree and say what would be uploaded; needs no token.")
    ] = False,
    dest: Annotated[
        Path | None, typer.Option(help="Folder of the tree that is uploaded; default: beside the data, with .hub.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Put data sets, as one, or a trained model on the Hub, with a card; run again after a stop, it goes on."""
    from lrs2m_builder.dataset.publish.run import publish
    from lrs2m_builder.dataset.selection import Filters
    from lrs2m_builder.evals.publish_model import find_model, publish_model

    if any(find_model(path) for path in data):
        if len(data) > 1 or captions_only or with_images or reviewed or without or where:
            raise UserError(f"{data[0]}: a model is published alone, and options of data are not for it")
        made = publish_model(
            data[0],
            repo_id,
            results=results,
            datasets=trained_on or (),
            license_id=license_id,
            private=private,
            dest=dest,
            dry_run=dry_run,
        )
        print_json(asdict(made)) if as_json else _print_upload(made)
        return
    if results or trained_on or license_id:
        raise UserError("--results, --trained-on and --license are of a model; give a run or a model's folder")
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
        show(f"{split.subset:<{width}} {split.rows:>9,} pairs  {split.files:>4} shards  {megabytes:>12}  {what}")
    _print_upload(report)


def _print_upload(report: PublishReport | ModelReport) -> None:
    """Where it went, or what would go up."""
    if report.uploaded is None:
        show(f"would upload to {report.repo_id}, from {report.tree}:")
        for name, size in report.files.items():
            show(f"  {size / 1e6:>9,.3f} MB  {name}")
        return
    show(f"{'published' if report.uploaded.changed else 'nothing new for'} {report.uploaded.url}, from {report.tree}")
