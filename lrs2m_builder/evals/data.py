"""Reads the images and texts of an evaluation, wherever they are.

A Karpathy list in JSON with its images, a build of this program or other Parquet or Arrow files, a folder of images
whose subfolders are classes, a shipped source by its name, or a data set of the Hub.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.dataset.tables import record_files
from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.declared.shipped import shipped_names
from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.files import files_below
from lrs2m_builder.images.files import read_image
from lrs2m_builder.schema import ImageRef
from lrs2m_builder.sources import hf_dataset, image_folder, karpathy_json, open_source
from lrs2m_builder.sources._base import SourceRow
from lrs2m_builder.sources._hub import column_names, pinned
from lrs2m_builder.sources._layout import DEFAULT_LAYOUTS
from lrs2m_builder.sources._resolve import ImageFinder

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels")
_SEVERAL = {"caption_long": "captions_long"}  # the column that has all texts of an image, if it has several
_CAPTION_NUMBER = re.compile(r"#\d+$")
_TABLES = {".parquet", ".arrow"}


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of Parquet and Hub data: of several names, the first that the data have.

    Attributes:
        texts: short or long texts, or lists of them.
    """

    image: Sequence[str] = IMAGE_COLUMNS
    texts: Sequence[str] = ()
    label: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class EvalImage:
    """One image with its texts and its class, if the data have them."""

    name: str
    image: ImageRef
    texts: tuple[str, ...] = ()
    label: str = ""


def read_images(
    data: str,
    columns: Columns,
    *,
    split: str | None = None,
    all_splits: bool = False,
    image_dir: Path | None = None,
    revision: str | None = None,
) -> list[EvalImage]:
    """Every image of a split, in the order of the data; rows of a build that share an image become one.

    Args:
        data: a path, a shipped source's name, or a data set's name on the Hub.
        split: default: "test" of a Karpathy list (a source's too) and on the Hub, all of anything else.
        all_splits: on the Hub, take all splits if `split` is None.
        image_dir: where the images of a Karpathy list or a source are; default: the folder of the list.

    Raises:
        UserError: it cannot be read, or an image or the split is missing.
    """
    path = Path(data).expanduser()
    if path.suffix == ".json" and path.is_file():
        images = _from_karpathy(path, split or "test", image_dir or path.parent)
    elif path.suffix in _TABLES or (path.is_dir() and _tables(path)):
        images = _from_tables(_of_split(_tables(path), split, data), columns)
    elif path.is_dir():
        _refuse_split(split, data)
        rows = list(image_folder.read(path))
        images = [EvalImage(row.image_name, _found(row, path), row.captions, row.label) for row in rows]
    elif data in shipped_names("manifests"):
        images = _from_source(data, split, image_dir)
    elif re.fullmatch(r"[\w.-]+/[\w.-]+", data):
        images = _from_tables(pinned(data, split=split or ("" if all_splits else "test"), revision=revision), columns)
    else:
        raise UserError(
            f"{data}: no such file or folder; give a Karpathy list (JSON), a build, a folder of images, a data set of "
            f"the Hub (owner/name), or a source: {', '.join(shipped_names('manifests'))}"
        )
    if not images:
        raise UserError(f"{data}: no images{f' of the split {split!r}' if split else ''} in it")
    return images


def fingerprint(images: Sequence[EvalImage]) -> dict[str, Any]:
    """What identifies these data: their number, and a hash over names, texts, classes and image bytes.

    Raises:
        UserError: an image cannot be read.
    """
    digest = hashlib.sha256()
    for each in images:
        try:
            content = read_image(each.image)
        except SampleError as error:
            raise UserError(f"{each.name}: the evaluation needs every image, and this one fails: {error}") from error
        words = [each.name, *each.texts, each.label, hashlib.sha256(content).hexdigest()]
        digest.update(json.dumps(words).encode())
    return {"images": len(images), "texts": sum(len(each.texts) for each in images), "sha256": digest.hexdigest()}


def _found(row: SourceRow, where: Path) -> ImageRef:
    if row.problem is not None:
        raise UserError(f"{where}: {row.problem[1]}; the evaluation needs every image")
    folder = where if where.is_dir() else where.parent
    image = row.image or next(filter(None, (finder.find(row.image_file) for finder in _finders(folder))), None)
    if image is None:
        raise UserError(f"{row.image_file or row.image_name}: not found in {folder}; the evaluation needs every image")
    return image


@lru_cache(maxsize=8)
def _finders(folder: Path) -> tuple[ImageFinder, ...]:
    return tuple(ImageFinder(layout, folder, None) for layout in DEFAULT_LAYOUTS)


def _from_karpathy(path: Path, split: str, image_dir: Path) -> list[EvalImage]:
    rows = list(karpathy_json.read(path))
    if not image_dir.is_dir():
        raise UserError(f"--images {image_dir}: no such folder")
    if split not in (there := sorted({row.split for row in rows})):
        raise UserError(f"{path}: no split {split!r}; it has {', '.join(map(repr, there))}")
    rows = [row for row in rows if row.split == split]
    finders = [ImageFinder(layout, image_dir, None) for layout in ("{filename}", "**/{basename}")]
    images, missing = [], []
    for row in rows:
        file = next((found for finder in finders if (found := finder.find(row.image_name))), None)
        if file is None:
            missing.append(row.image_name)
        else:
            images.append(EvalImage(row.image_name, file, row.captions))
    if missing:
        raise UserError(
            f"{path}: {len(missing)} of {len(rows)} images of the split {split!r} are not below {image_dir}, such as "
            f"{missing[0]}; give their folder with --images"
        )
    return images


def _from_source(name: str, split: str | None, data_dir: Path | None) -> list[EvalImage]:
    if data_dir is None:
        raise UserError(f"{name}: the folder of this source is not given; add --images DIR")
    manifest = load_manifest(name)
    if split is None and manifest.format == "karpathy_json":
        split = "test"
    source = open_source(manifest, data_dir)
    images = []
    for row in source.rows():
        if split and row.split != split:
            continue
        ref = source.find_image(row)
        if ref is None:
            reason = source.images.why_not(row.image_file or row.image_name)
            raise UserError(f"{name}: {row.image_name}: {reason}; the evaluation needs every image")
        texts = row.captions or tuple(filter(None, (row.caption_long,)))
        images.append(EvalImage(row.image_name, ref, texts, row.label))
    return images


def _tables(path: Path) -> list[Path]:
    """Parquet files as a build or the Hub has them, or the Arrow files of `save_to_disk`."""
    if path.is_file():
        return [path]
    if arrow := sorted(files_below(path, ".arrow")):
        return arrow
    return record_files(path) if any(files_below(path, ".parquet")) else []


def _of_split(files: list[Path], split: str | None, data: str) -> list[Path]:
    """The files of a split, by their names or those of their folders, as the Hub and `save_to_disk` name them."""
    if split is None:
        return files
    chosen = [file for file in files if file.parent.name == split or file.name.startswith((f"{split}-", f"{split}."))]
    if not chosen:
        raise UserError(f"{data}: no files of the split {split!r}; the first file is {files[0].name}")
    return chosen


def _refuse_split(split: str | None, data: str) -> None:
    if split:
        raise UserError(f"{data}: a folder of images has no split {split!r}; leave --split out")


def _from_tables(files: Sequence[Path], columns: Columns) -> list[EvalImage]:
    images: dict[str, EvalImage] = {}
    for file in files:
        names = _column_names(file)
        label = _choose(columns.label, names, file) if columns.label else ""
        texts = _choose(columns.texts, names, file) if columns.texts else ""
        name_column = "sample_id" if "sample_id" in names else ""
        rows = hf_dataset.read(
            file,
            _choose(columns.image, names, file),
            tuple(name for name in (texts, _SEVERAL.get(texts)) if name and name in names),
            label_column=label,
            name_column=name_column,
        )
        for row in rows:
            key = _CAPTION_NUMBER.sub("", row.image_name) if name_column else f"{file}:{row.image_name}"
            before = images.get(key)
            given = tuple(text for text in dict.fromkeys(row.captions) if text)
            images[key] = EvalImage(
                before.name if before else row.image_name.rpartition("#")[0] or row.image_name,
                before.image if before else _found(row, file),
                (*(before.texts if before else ()), *given),
                row.label,
            )
    return list(images.values())


def _column_names(file: Path) -> list[str]:
    if file.suffix == ".json":
        return column_names(file)
    try:
        if file.suffix == ".arrow":
            with pa.memory_map(str(file)) as source:
                return list(pa.ipc.open_stream(source).schema.names)
        return list(pq.read_schema(file).names)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{file}: not a readable Parquet or Arrow file: {error}") from error


def _choose(wanted: Sequence[str], there: Sequence[str], file: Path) -> str:
    for name in wanted:
        if name in there:
            return name
    raise UserError(f"{file}: no column {' or '.join(map(repr, wanted))}; it has {', '.join(there)}")
