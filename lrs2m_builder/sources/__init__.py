"""Sources: one file a format; here a format's rows become samples, always in the same order."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lrs2m_builder.errors import UserError
from lrs2m_builder.manifest import Manifest
from lrs2m_builder.schema import Sample
from lrs2m_builder.sources.base import SourceRow
from lrs2m_builder.sources.resolve import find_annotations, resolve_images
from lrs2m_builder.text import normalise_caption

_NOT_FORMATS = {"base", "resolve"}


@dataclass(frozen=True, slots=True)
class Source:
    """A subset opened on disk: its rows, and where each image is.

    Attributes:
        layout: the manifest's image layout that was found in the folder.
    """

    manifest: Manifest
    annotations: Path
    layout: str
    rows: tuple[SourceRow, ...]
    image_paths: dict[str, Path]


def formats() -> list[str]:
    """Names of the formats: the modules of this folder."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in _NOT_FORMATS)


def open_source(manifest: Manifest, data_dir: Path) -> Source:
    """Read the annotations of a subset and find its images.

    Raises:
        UserError: the format is unknown, a file is missing or broken, or not one image was found.
    """
    if manifest.format not in formats():
        raise UserError(f"manifest {manifest.name}: no format {manifest.format!r}; known: {', '.join(formats())}")
    module = importlib.import_module(f"{__name__}.{manifest.format}")
    annotations = find_annotations(manifest, data_dir)
    rows = tuple(row for row in module.read(annotations) if not manifest.split or row.split == manifest.split)
    names = list(dict.fromkeys(row.image_name for row in rows))
    if len(names) < len(rows):
        twice = next(name for name in names if sum(row.image_name == name for row in rows) > 1)
        raise UserError(f"{annotations}: image {twice!r} is listed more than once; sample ids must be unique")
    layout, image_paths = resolve_images(manifest, data_dir, names)
    if not image_paths:
        looked = " or ".join(str(data_dir / layout) for layout in manifest.files.images)
        raise UserError(f"none of the {len(names)} images of {annotations} was found (looked for {looked})")
    return Source(manifest, annotations, layout, rows, image_paths)


def read_samples(source: Source) -> Iterator[Sample]:
    """Yield the samples of a subset in the order of its annotation file.

    `rows: caption` gives one sample for each distinct caption of an image (UCMerced's 9430 pairs in the paper's
    Table I), `rows: image` one sample an image with all its captions. What cannot be used is yielded too, with
    its problem: a row is never lost silently.
    """
    for row in source.rows:
        captions = tuple(dict.fromkeys(text for raw in row.captions if (text := normalise_caption(raw))))
        groups = [(caption,) for caption in captions] if source.manifest.rows == "caption" else [captions]
        for number, group in enumerate(groups or [()]):
            yield _sample(source, row, group, number)


def _sample(source: Source, row: SourceRow, captions: tuple[str, ...], number: int) -> Sample:
    manifest = source.manifest
    path = source.image_paths.get(row.image_name)
    key = f"{row.image_name}#{number}" if manifest.rows == "caption" else row.image_name
    problem = None
    if path is None:
        problem = ("image_missing", f"{row.image_name}: not found as {source.layout}")
    elif not captions:
        problem = ("caption_missing", f"{row.image_name}: no text in {source.annotations.name}")
    return Sample(
        sample_id=f"{manifest.name}/{key}",
        subset=manifest.name,
        image_name=row.image_name,
        image_path=path,
        captions=captions,
        label=_label(manifest, row.image_name),
        problem=problem,
    )


def _label(manifest: Manifest, image_name: str) -> str:
    stem = Path(image_name).stem
    if manifest.numbering is None or not stem.isdecimal():
        return ""
    number = (int(stem) - 1) // manifest.numbering.per_class
    return manifest.numbering.classes[number] if 0 <= number < len(manifest.numbering.classes) else ""
