"""`lrs2m sources`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lrs2m_builder.commands import Json, pairs, print_json
from lrs2m_builder.commands.complete import source_names
from lrs2m_builder.errors import UserError
from lrs2m_builder.terminal import show

if TYPE_CHECKING:
    from lrs2m_builder.declared.manifest import Manifest
    from lrs2m_builder.sources._survey import Survey


def sources_command(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", autocompletion=source_names, help="Source to describe: a shipped name or your .yaml file."
        ),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the source: read it and report on its contents.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List, describe or test the sources.

    Without a name: the list. With a name: licence, homepage, citation and how to get the data. With --data-dir: reads
    the source, decodes every image, and reports counts of images and captions, repeated captions, splits, and images
    that are missing or unreadable.

    Example:
        lrs2m sources ucmerced --data-dir ucm
    """
    if name is None:
        if data_dir is not None:
            raise UserError("--data-dir needs the name of a source: lrs2m sources NAME --data-dir DIR")
        _print_all(as_json)
        return
    from lrs2m_builder.declared.manifest import load_manifest
    from lrs2m_builder.sources._survey import describe, survey

    manifest = load_manifest(name)
    if data_dir is None:
        print_json(manifest.model_dump(mode="json")) if as_json else show("\n".join(describe(manifest)))
        return
    result = survey(manifest, data_dir, show_progress=sys.stderr.isatty())
    if as_json:
        print_json(result.as_dict())
        return
    show("\n".join([*describe(manifest), *survey_lines(manifest, result)]))


def _print_all(as_json: bool) -> None:
    """Print the shipped sources, one line each; as JSON, the whole manifests."""
    from lrs2m_builder.declared.shipped import find, shipped_names

    names = shipped_names("manifests")
    if as_json:
        from lrs2m_builder.declared.manifest import load_manifest

        print_json({name: load_manifest(name).model_dump(mode="json") for name in names})
        return
    for name in names:  # two lines of each are read as text: importing a parser takes longer than all the rest
        lines = find("manifests", name).read_text(encoding="utf-8").splitlines()
        facts = dict(line.split(": ", 1) for line in lines if line.startswith(("title: ", "viewpoint: ")))
        show(f"{name:<12} {facts['title']} ({facts['viewpoint']})")


def survey_lines(manifest: Manifest, result: Survey) -> list[str]:
    """The report on a source that was read."""
    lines = [
        f"  read       {result.annotations}, images {f'as {result.layout}' if result.layout else 'inside'}",
        f"  images     {result.images} listed, {result.images_found} found",
        f"  captions   {result.captions}, {result.captions - result.distinct_captions} repeated within their image",
        f"  samples    {result.samples} ({manifest.rows} rows); splits {pairs(result.splits)}",
    ]
    if result.join:
        lines.append(f"  join       {result.join['annotations']}: {result.join['matched']} images in both")
        for where in ("only_in_first", "only_in_second"):
            images = result.join[where]
            lines.append(
                f"             {images['count']} {where.replace('_', ' ')}, such as {'; '.join(images['examples'])}"
            )
    if result.found_by_another_name["count"]:
        examples = "; ".join(result.found_by_another_name["examples"])
        lines.append(f"  renamed    {result.found_by_another_name['count']} images, such as {examples}")
    if result.identical_images["count"]:
        examples = "; ".join(result.identical_images["examples"])
        lines.append(f"  identical  {result.identical_images['count']} images, such as {examples}")
    for reason, problem in result.problems.items():
        lines.append(f"  {reason}: {problem['count']}, such as {'; '.join(problem['examples'])}")
    return lines
