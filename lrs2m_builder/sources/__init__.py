"""Sources: one file per format; here a format's rows become samples, always in the same order."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from lrs2m_builder.declared.manifest import Manifest
from lrs2m_builder.errors import SampleError, UserError, not_among, storable
from lrs2m_builder.files import member_names
from lrs2m_builder.images.part import Part
from lrs2m_builder.schema import ImageRef, Sample
from lrs2m_builder.sources._base import SourceRow
from lrs2m_builder.sources._entering import BAD_NAME, entered, entered_anchors
from lrs2m_builder.sources._layout import choose_layout
from lrs2m_builder.sources._names import image_stem
from lrs2m_builder.sources._places import Places, table_files
from lrs2m_builder.sources._resolve import ImageFinder, find_annotations
from lrs2m_builder.sources._state import GONE, changed_at


def join_key(image_name: str) -> str:
    """The key by which two files name the same image: the stem, in lower case."""
    return image_stem(image_name).lower()


@dataclass(frozen=True)
class Joined:
    """The short texts of a second annotation file.

    Attributes:
        rows: reads the file from the beginning.
    """

    annotations: tuple[Path, ...]
    rows: Callable[[], Iterator[SourceRow]]

    @cached_property
    def captions(self) -> dict[str, tuple[str, ...]]:
        """The texts by the key of their image."""
        captions: dict[str, tuple[str, ...]] = {}
        for row in self.rows():
            key = join_key(row.image_name)
            captions[key] = (*captions.get(key, ()), *row.captions)
        return captions

    def short_texts(self, row: SourceRow) -> tuple[str, ...]:
        """The short texts of a row's image; none if the other file does not name it."""
        return self.captions.get(join_key(row.image_name), ())


@dataclass(frozen=True, slots=True)
class Source:
    """A subset opened on disk.

    Attributes:
        annotations: one file, or its parts (the tars or Parquet files that one glob matches).
        rows: reads the annotations from the beginning, as a stream.
        images: finds an image by its name, for rows without image bytes.
        places: finds where on Earth an image was taken.
    """

    manifest: Manifest
    annotations: tuple[Path, ...]
    rows: Callable[[], Iterator[SourceRow]]
    images: ImageFinder
    places: Places
    joined: Joined | None = None

    def find_image(self, row: SourceRow) -> ImageRef | None:
        """Where the image of a row is; None if it was not found."""
        return row.image or self.images.find(row.image_file or row.image_name)


def named(paths: Sequence[Path]) -> str:
    """One path, or the first and the last of several, for messages."""
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} to {paths[-1].name} ({len(paths)} files)"


def annotation_files(manifest: Manifest, data_dir: Path) -> list[Path]:
    """The files and folders with the texts, labels and places of a subset, and those that options name.

    Raises:
        UserError: a file is missing.
    """
    paths = list(find_annotations(manifest, data_dir, manifest.files.annotations))
    if manifest.join:
        paths += find_annotations(manifest, data_dir, manifest.join.annotations)
    paths += table_files(manifest, data_dir)
    given = (*manifest.options.values(), *(manifest.join.options.values() if manifest.join else ()))
    named_paths = (Path(value) for value in given if isinstance(value, str) and value)
    return paths + [path for path in named_paths if changed_at(path) != GONE and path.is_file()]


def formats() -> list[str]:
    """Names of the formats: the modules of this folder."""
    return member_names(__path__)


def open_source(manifest: Manifest, data_dir: Path) -> Source:
    """Find the annotations and the images of a subset.

    Raises:
        UserError: the format is unknown, a file is missing or broken, or not one image was found.
    """
    read = _reader(manifest, manifest.format, manifest.options)
    annotations = find_annotations(manifest, data_dir, manifest.files.annotations)
    _check_names(manifest, annotations)
    joined = _open_join(manifest, data_dir) if manifest.join else None

    def read_all() -> Iterator[SourceRow]:
        return chain.from_iterable(map(read, annotations))

    def rows() -> Iterator[SourceRow]:
        for row in read_all():
            if not manifest.split or row.split == manifest.split:
                yield entered(row, joined.short_texts(row) if joined else None)

    def all_names() -> Iterator[str]:
        return (row.image_file or row.image_name for row in read_all() if row.image is None)

    images = choose_layout(manifest, data_dir, map(entered, read_all()), all_names)
    return Source(manifest, annotations, rows, images, Places(manifest, data_dir), joined)


def _reader(manifest: Manifest, name: str, options: Mapping[str, Any]) -> Callable[[Path], Iterator[SourceRow]]:
    """The `read` of a format with the options bound."""
    if name not in formats():
        raise UserError(f"manifest {manifest.name}: no format {name!r}{not_among(name, formats())}")
    read = importlib.import_module(f"{__name__}.{name}").read
    known = list(inspect.signature(read).parameters)[1:]
    if unknown := sorted(options.keys() - set(known)):
        raise UserError(
            f"manifest {manifest.name}: format {name} has no option {unknown[0]!r}{not_among(unknown[0], known)}"
        )
    return partial(_read_file, partial(read, **_typed(manifest, name, read, options)))


def _typed(manifest: Manifest, name: str, read: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a format, validated against the types in its `read`."""
    types, found = get_type_hints(read), {}
    for option, value in options.items():
        try:
            found[option] = TypeAdapter(types[option]).validate_python(value)
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise UserError(
                f"manifest {manifest.name}: option {option} of format {name} is {value!r}: {reason}"
            ) from error
    return found


def _read_file(read: Callable[[Path], Iterator[SourceRow]], path: Path) -> Iterator[SourceRow]:
    """The rows of a file; its errors become one line."""
    try:
        yield from read(path)
    except OSError as error:
        raise UserError(f"{error.filename or path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start}: not UTF-8 text") from error


def _check_names(manifest: Manifest, annotations: Sequence[Path]) -> None:
    """Refuse two files of one name if rows without a name are named after their file: their names would collide."""
    if manifest.format == "hf_dataset" and not manifest.options.get("name_column"):
        by_stem: dict[str, Path] = {}
        for path in annotations:
            if (other := by_stem.setdefault(path.stem, path)) != path:
                raise UserError(
                    f"{other} and {path}: the rows of both would be called {path.stem}/...; rename a file, give "
                    f"manifest {manifest.name} a glob that matches one of them, or its options a name_column"
                )


def _open_join(manifest: Manifest, data_dir: Path) -> Joined:
    assert manifest.join is not None
    paths = find_annotations(manifest, data_dir, manifest.join.annotations)
    read = _reader(manifest, manifest.join.format, manifest.join.options)
    return Joined(paths, lambda: chain.from_iterable(map(read, paths)))


class Mentions:
    """Counts how often each image has been named."""

    def __init__(self) -> None:
        self._times: dict[str, int] = {}

    def count(self, image_name: str) -> int:
        """How often the image has been named, including this time; skips counts whose name another image has."""
        times = self._times.get(image_name, 0) + 1
        while times > 1 and f"{image_name}~{times}" in self._times:
            times += 1
        self._times[image_name] = times
        return times


def read_samples(source: Source) -> Iterator[Sample]:
    """Yield the samples of a subset in the order of its annotation file.

    `rows: caption` gives one sample for each distinct caption of an image (UCMerced's 9430 pairs in the paper's
    Table I), `rows: image` one sample per image with all its captions. Unusable rows are yielded too, with
    their problem: a row is never lost silently.
    """
    mentions = Mentions()
    for row in source.rows():
        captions = tuple(dict.fromkeys(row.captions))
        times = mentions.count(row.image_name)
        groups = [(caption,) for caption in captions] if source.manifest.rows == "caption" else [captions]
        for number, group in enumerate(groups or [()]):
            yield make_sample(source, row, group, number, times)
    source.places.check_used()


def make_sample(source: Source, row: SourceRow, captions: tuple[str, ...], number: int, times: int) -> Sample:
    """The sample of a row that has been cleaned (see `_entering`).

    Args:
        captions: the sample's short texts.
        number: of the sample among those of the row.
        times: how often the image has been named.
    """
    manifest = source.manifest
    # An escaped name is none that a file could have.
    path = None if row.problem and row.problem[0] == BAD_NAME and not row.image_file else source.find_image(row)
    key = f"{row.image_name}#{number}" if manifest.rows == "caption" else row.image_name
    problem = row.problem
    if times > 1:
        key = f"{key}~{times}"
        problem = ("duplicate_row", f"{row.image_name}: listed {times} times in {named(source.annotations)}")
    elif problem is None and path is None:
        problem = ("image_missing", f"{row.image_name}: {source.images.why_not(row.image_file or row.image_name)}")
    anchors, no_anchors = row.anchors, None
    if row.anchors_in is not None and path is not None and problem is None:
        try:
            anchors = entered_anchors(row.anchors_in(path, manifest.part))
        except SampleError as error:
            no_anchors = (error.reason, error.detail)
    return Sample(
        sample_id=f"{manifest.name}/{key}",
        subset=manifest.name,
        image_name=row.image_name,
        image_path=path,
        captions=captions,
        caption_long=row.caption_long,
        anchors=anchors,
        no_anchors=no_anchors,
        label=row.label or _label(manifest, row.image_name),
        problem=problem and (problem[0], storable(problem[1])),
        place=source.places.of(row, path),
        image_size=_image_size(path, manifest.part) if any(anchor.boxes for anchor in anchors) else None,
    )


def _image_size(image: ImageRef | None, part: Part) -> tuple[int, int] | None:
    """Width and height of an image, from its header; None if it cannot be read, for which it is rejected later."""
    if image is None:
        return None
    from lrs2m_builder.sources.vector_labels.placing import frame_of

    try:
        frame = frame_of(image, part, on_earth=False)
    except SampleError:
        return None
    return frame.width, frame.height


def _label(manifest: Manifest, image_name: str) -> str:
    if manifest.numbering is None or not (stem := image_stem(image_name)).isdecimal():
        return ""
    number = (int(stem) - 1) // manifest.numbering.per_class
    return manifest.numbering.classes[number] if 0 <= number < len(manifest.numbering.classes) else ""
