"""`lrs2m publish`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lrs2m_builder.commands import Json, print_json
from lrs2m_builder.commands.export import ReviewedOption, Where, WithoutOption
from lrs2m_builder.errors import UserError
from lrs2m_builder.terminal import say, show

if TYPE_CHECKING:
    from lrs2m_builder.dataset.publish.run import PublishReport
    from lrs2m_builder.evals.publish_model import ModelReport


def publish_command(
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA|s3://BUCKET/PREFIX",
            help="The --out of builds, folders of Parquet files with the same columns, or one training run or model.",
        ),
    ],
    repo_id: Annotated[
        str, typer.Option(metavar="NAMESPACE/NAME", help="Repository on the Hub; created if it does not exist.")
    ],
    captions_only: Annotated[
        bool, typer.Option("--captions-only", help="Publish no images, only their names and hashes.")
    ] = False,
    with_images: Annotated[
        bool,
        typer.Option(
            "--with-images", help="Publish all images, whatever the manifests say. You must hold the rights to them."
        ),
    ] = False,
    private: Annotated[bool, typer.Option("--private", help="Create the repository as private.")] = False,
    reviewed: ReviewedOption = None,
    without: WithoutOption = None,
    where: Where = None,
    results: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Model only: results of lrs2m eval, for the tables of the card."),
    ] = None,
    trained_on: Annotated[
        list[str] | None,
        typer.Option(metavar="NAMESPACE/NAME", help="Model only: training data set on the Hub, linked in the card."),
    ] = None,
    license_id: Annotated[
        str | None,
        typer.Option("--license", metavar="ID", help="Model only: licence by its name on the Hub, such as apache-2.0."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Write the upload folder and list what would be uploaded. Needs no token."),
    ] = False,
    dest: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Upload folder. By default beside the data, named after it with '.hub'."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Upload data sets or a model to the Hub.

    Several data sets become one repository with a card; a training run or model gets one of its own. Images are
    published only if the manifests allow it. Run the same command again to resume after a stop. Needs the extra 'hub',
    for a model also 'train'. Details: docs/share.md.

    Example:
        lrs2m publish out/ucmerced out/fmow --repo-id me/LRS2M-rebuilt --dry-run
        lrs2m publish run --repo-id me/clip --results results --license apache-2.0
    """
    from lrs2m_builder.dataset.copies import data_folder
    from lrs2m_builder.dataset.publish.run import publish
    from lrs2m_builder.dataset.selection import Filters
    from lrs2m_builder.evals.publish_model import find_model, publish_model

    if dest is None and any("://" in each for each in data):
        raise UserError("--dest: give an upload folder on this machine; the data set is on an object store")
    folders = [data_folder(each, with_images=not captions_only) for each in data]
    if any(find_model(path) for path in folders):
        if len(data) > 1 or captions_only or with_images or reviewed or without or where:
            raise UserError(f"{data[0]}: publish a model by itself, without the options for data sets")
        model_report = publish_model(
            folders[0],
            repo_id,
            results=results,
            datasets=trained_on or (),
            license_id=license_id,
            private=private,
            dest=dest,
            dry_run=dry_run,
        )
        print_json(asdict(model_report)) if as_json else _print_upload(model_report)
        return
    if results or trained_on or license_id:
        raise UserError("--results, --trained-on and --license are for models; give a training run or a model folder")
    if captions_only and with_images:
        raise UserError("--captions-only and --with-images exclude each other")
    report = publish(
        folders,
        repo_id,
        images=with_images if captions_only or with_images else None,
        private=private,
        filters=Filters((), reviewed, without_audit=without is not None, where=where),
        dest=dest,
        dry_run=dry_run,
    )
    if as_json:
        print_json(asdict(report))
        return
    for split in report.splits:
        for note in split.notes:
            say(f"{split.subset}: {note}")
    width = max(len(split.subset) for split in report.splits)
    for split in report.splits:
        what = f"{'with images' if split.with_images else 'captions only'}: {split.why}"
        megabytes = f"{split.file_bytes / 1e6:,.1f} MB"
        show(f"{split.subset:<{width}} {split.rows:>9,} pairs  {split.files:>4} shards  {megabytes:>12}  {what}")
    _print_upload(report)


def _print_upload(report: PublishReport | ModelReport) -> None:
    """The address of the upload, or after a dry run the files that would be uploaded."""
    if report.uploaded is None:
        show(f"would upload to {report.repo_id}, from {report.tree}:")
        for name, size in report.files.items():
            show(f"  {size / 1e6:>9,.3f} MB  {name}")
        return
    show(f"{'published' if report.uploaded.changed else 'nothing new for'} {report.uploaded.url}, from {report.tree}")
