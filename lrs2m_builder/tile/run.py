"""`lrs2m tile`: scenes to tiles, row by row, in worker processes; resumable at any moment."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lrs2m_builder import __version__
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import discard_parts, disk_errors, finished_file, read_json, write_json
from lrs2m_builder.stopping import worker_processes
from lrs2m_builder.stores.changes import differences
from lrs2m_builder.stores.outputs import own_folder
from lrs2m_builder.tile.laid import WORK, LaidObjects, Place
from lrs2m_builder.tile.layers import Layer, find_layers, require_geo
from lrs2m_builder.tile.manifest import write_manifest
from lrs2m_builder.tile.options import TileOptions
from lrs2m_builder.tile.rows import SceneTask, make_row
from lrs2m_builder.tile.scene import Scene, find_scenes, look_at
from lrs2m_builder.tile.stretching import find_stretch
from lrs2m_builder.tile.table import join_rows
from lrs2m_builder.tile.taken import time_and_platform

SETTINGS, TABLE, SCENES, MANIFEST = "tile.json", "tiles.parquet", "scenes.jsonl", "manifest.yaml"
_FINGERPRINT = 2**16  # bytes at either end of a file by which it is recognised
_PENDING = 4  # rows per worker that wait
_Row = tuple[SceneTask, int, list[Place]]


@dataclass(frozen=True, slots=True)
class TileReport:
    """What was made.

    Attributes:
        scenes, tiles: their numbers.
        skipped: numbers of tiles that were left out, by reason.
        problems: numbers of labelled objects that were mended or left out, by reason.
        manifest: of the tiles as a source.
    """

    scenes: int
    tiles: int
    skipped: dict[str, int]
    problems: dict[str, int]
    manifest: Path


def tile(options: TileOptions, *, show_progress: bool = False) -> TileReport:
    """Cut scenes into tiles with the anchors of vector layers.

    Raises:
        UserError: a scene, a layer or an option cannot be used, the folder holds tiles of other options, or the disk
            is full; finished rows are kept.
    """
    scenes = [look_at(name, path, options) for name, path in find_scenes(options.scenes)]
    layers = _layers(scenes, options)
    settings = _settings(scenes, layers, options)
    with own_folder(options.out, "tile"):
        _claim(options.out, settings)
        if not (options.out / TABLE).exists():
            laid = _lay_labels(scenes, layers, options)
            tasks = _make_rows(scenes, options, laid, show_progress)
            _write_scenes(options.out / SCENES, tasks)
            write_manifest(options.out / MANIFEST, options)
            parts = [task.part(row) for task in tasks for row in task.scene.row_offsets(options)]
            join_rows(options.out / TABLE, parts, laid.problems if laid else {})
        _remove_work(options.out)
        return _report(options.out, len(scenes))


def _settings(scenes: Sequence[Scene], layers: Sequence[Layer], options: TileOptions) -> dict[str, Any]:
    """By what a rerun recognises its folder: the options and the files."""
    settings = {**options.settings(), "scenes": {scene.name: _fingerprint(scene.path) for scene in scenes}}
    if layers:
        settings["labels"] = {f"{layer.path.name}:{layer.name}": _fingerprint(layer.path) for layer in layers}
        if options.classes:
            from lrs2m_builder.tile.classes import OSM_CLASSES

            path = OSM_CLASSES if options.classes == "osm" else Path(options.classes)
            settings["classes"] = _fingerprint(path)
    return settings


def _fingerprint(path: Path) -> str:
    """Size and hash of both ends of a file, of each that belongs to it: a scene may have a hundred gigabytes."""
    beside = path.with_suffix(".dbf")
    files = sorted(path.rglob("*")) if path.is_dir() else [path, *([beside] if path.suffix.lower() == ".shp" else [])]
    digest, total = hashlib.sha256(), 0
    for each in files:
        if each.is_file():
            total += _add_ends(digest, each)
    return f"{total} bytes, {digest.hexdigest()[:16]}"


def _add_ends(digest: Any, path: Path) -> int:
    """Hash both ends of a file; returns its size."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            for start in (0, max(0, size - _FINGERPRINT)):
                file.seek(start)
                digest.update(file.read(_FINGERPRINT))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    return size


def _claim(out: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings of a new folder; compare those of an earlier run."""
    path = out / SETTINGS
    discard_parts(*(out / name for name in (SETTINGS, TABLE, SCENES, MANIFEST)))
    earlier = read_json(path).get("settings") if path.exists() else None
    changes = list(differences(earlier, json.loads(json.dumps(settings))))
    if earlier is not None and changes and not _nothing_done(out):
        raise UserError(
            f"--out {out}: was tiled with other settings: {'; '.join(changes)}. Give the same again, or another --out"
        )
    if changes:
        _remove_work(out)  # objects laid for other settings
        write_json(path, {"settings": settings, "version": __version__})


def _nothing_done(out: Path) -> bool:
    """Whether no row of tiles is finished: nothing is lost by starting again."""
    return not (out / TABLE).exists() and next((out / WORK).glob("rows/*/*.parquet"), None) is None


def _layers(scenes: Sequence[Scene], options: TileOptions) -> list[Layer]:
    """The layers of --labels.

    Raises:
        UserError: one cannot be used, or a scene has no place on a map.
    """
    if not options.labels:
        return []
    require_geo()
    if lost := next((scene for scene in scenes if not scene.is_placed), None):
        what = "no CRS" if not lost.crs else "no transform"
        raise UserError(
            f"{lost.path}: {what}, so --labels cannot be laid on it; write it: gdal_edit.py -a_srs EPSG:CODE "
            "-a_ullr WEST NORTH EAST SOUTH"
        )
    if beyond := next((scene for scene in scenes if scene.is_beyond_180), None):
        raise UserError(
            f"{beyond.path}: in degrees beyond the antimeridian, where no layer has its objects; reproject it: "
            f"gdalwarp -t_srs EPSG:3832 {beyond.path.name} new.tif"
        )
    return [layer for spec in options.labels for layer in find_layers(spec)]


def _lay_labels(scenes: Sequence[Scene], layers: Sequence[Layer], options: TileOptions) -> LaidObjects | None:
    """The objects of the layers laid on the scenes; None without layers."""
    if not layers:
        return None
    from lrs2m_builder.tile.classes import load_classes
    from lrs2m_builder.tile.laying import lay

    return lay(layers, load_classes(options.classes, options.class_column), scenes, options)


def _make_rows(
    scenes: Sequence[Scene], options: TileOptions, laid: LaidObjects | None, show_progress: bool
) -> list[SceneTask]:
    """Make all unfinished rows of tiles."""
    tasks: list[SceneTask] = []
    names = None if laid is None else laid.names

    def unfinished() -> Iterator[_Row]:
        for scene in scenes:
            task = SceneTask(scene, find_stretch(scene, options), time_and_platform(scene.path), options, names)
            tasks.append(task)
            for row in scene.row_offsets(options):
                if not task.part(row).exists():
                    yield task, row, [] if laid is None else laid.of(scene, row)

    num_rows = sum(len(scene.row_offsets(options)) for scene in scenes)
    with closing(_Progress(num_rows, show_progress)) as progress:
        if options.workers == 1 or num_rows == 1:
            for row in unfinished():
                make_row(*row)
                progress.add(1)
        else:
            _in_workers(min(options.workers, num_rows), unfinished(), progress.add)
    return tasks


def _in_workers(count: int, rows: Iterator[_Row], finished: Callable[[int], None]) -> None:
    with worker_processes(count) as submit:
        pending: set[Future[None]] = set()
        for row in rows:
            if len(pending) >= _PENDING * count:
                pending = _drain(pending, finished)
            pending.add(submit(make_row, *row))
        while pending:
            pending = _drain(pending, finished)


def _drain(pending: set[Future[None]], finished: Callable[[int], None]) -> set[Future[None]]:
    done, waiting = wait(pending, return_when=FIRST_COMPLETED)
    for future in done:
        future.result()
    finished(len(done))
    return waiting


class _Progress:
    """A progress bar of rows of tiles on standard error."""

    def __init__(self, total: int, shown: bool) -> None:
        from tqdm import tqdm

        self._bar = tqdm(total=total, unit="row", disable=not shown)

    def add(self, number: int) -> None:
        self._bar.update(number)

    def close(self) -> None:
        self._bar.close()


def _write_scenes(path: Path, tasks: Sequence[SceneTask]) -> None:
    """One line per scene: its file, its grid and its stretch."""
    with finished_file(path) as part, part.open("w", encoding="utf-8") as file:
        for task in tasks:
            scene = task.scene
            line = {
                "scene": scene.name,
                "file": scene.path.name,
                "width": scene.width,
                "height": scene.height,
                "bands": scene.bands,
                "crs": scene.crs or None,
                "transform": scene.transform,
                "zoom": scene.zoom,
                **asdict(task.stretch),
            }
            file.write(json.dumps(line) + "\n")


def _remove_work(out: Path) -> None:
    with disk_errors(out):
        if (out / WORK).exists():
            shutil.rmtree(out / WORK)


def _report(out: Path, num_scenes: int) -> TileReport:
    import pyarrow.parquet as pq

    with disk_errors(out):
        metadata = pq.read_metadata(out / TABLE)
    skipped, problems = (json.loads(metadata.metadata[name]) for name in (b"skipped", b"label_problems"))
    return TileReport(num_scenes, metadata.num_rows, skipped, problems, out / MANIFEST)
