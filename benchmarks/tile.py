"""`lrs2m tile` on scenes of 20,000 x 20,000 pixels, sparse ones 100,000 wide, and a million objects.

CPU seconds and peak memory of one process, imports included. The alternatives, in the same run on a part of the work:
  tiles   a loop over windows with rasterio and Pillow, without places, no-data or commits
  labels  the objects of one tile after another by a bounding box query on the GeoPackage

    python benchmarks/tile.py [--side 20000] [--objects 1000000] [--folder DIR]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
import rasterio.warp
import rasterio.windows
import shapely
from PIL import Image
from rasterio.transform import Affine
from rasterio.windows import Window

SIZE = 512
TRANSFORM, CRS = Affine(0.5, 0, 733_601, 0, -0.5, 3_725_139), "EPSG:32616"
PART = 60  # tiles of the alternatives
BYTECODE = Path(tempfile.gettempdir()) / "lrs2m-benchmark-bytecode"
CHECKED = 200  # tiles compared with plain shapely
_PEAK = """
import atexit, sys
def peak():
    with open("/proc/self/status") as file:
        print("peak", next(line.split()[1] for line in file if line.startswith("VmHWM")))
atexit.register(peak)
"""
_TILE = f"""{_PEAK}
from lrs2m_builder.cli import main
main()
"""
_LABELS = f"""{_PEAK}
import time
from pathlib import Path
from lrs2m_builder.tile.classes import load_classes
from lrs2m_builder.tile.counting import anchors_of_row
from lrs2m_builder.tile.laid import LABELS, WORK, read_laid
from lrs2m_builder.tile.layers import find_layers
from lrs2m_builder.tile.laying import lay
from lrs2m_builder.tile.options import TileOptions
from lrs2m_builder.tile.scene import look_at
scene, layer, out = sys.argv[1:]
options = TileOptions((Path(scene),), Path(out), labels=(layer,))
scene = look_at("scene", Path(scene), options)
start = time.process_time()
laid = lay(find_layers(layer), load_classes(None, "class"), [scene], options)
then = time.process_time()
columns = scene.column_offsets(options)
objects = 0
for row in scene.row_offsets(options):
    batches = read_laid(options.out / WORK / LABELS, laid.of(scene, row))
    for anchors in anchors_of_row(batches, laid.names, row, columns, options.size, options.min_inside):
        objects += sum(len(anchor.boxes) for anchor in anchors)
print(round(then - start, 1), round(time.process_time() - then, 1), objects)
"""


def make_striped(path: Path, side: int) -> Path:
    """A noisy picture of three bands, one row per strip."""
    noise = np.random.default_rng(0).integers(0, 30, (3, SIZE, side), dtype=np.uint8)
    shape = {"width": side, "height": side, "count": 3, "dtype": "uint8", "crs": CRS, "transform": TRANSFORM}
    with rasterio.open(path, "w", driver="GTiff", interleave="pixel", **shape) as raster:
        for top in range(0, side, SIZE):
            height = min(SIZE, side - top)
            slope = (np.add.outer(np.arange(height) + top, np.arange(side)) // 37 % 200).astype(np.uint8)
            raster.write(noise[:, :height] + slope[None], window=Window(0, top, side, height))
    return path


def make_sparse(path: Path, side: int, height: int, *, tiled: bool) -> Path:
    """Three bands of no-data but for a few squares."""
    shape = {"width": side, "height": height, "count": 3, "dtype": "uint8", "crs": CRS, "transform": TRANSFORM}
    blocks = {"tiled": True, "blockxsize": 512, "blockysize": 512} if tiled else {}
    with rasterio.open(
        path, "w", driver="GTiff", sparse_ok=True, bigtiff="yes", nodata=0, compress="deflate", **blocks, **shape
    ) as raster:
        values = np.random.default_rng(0).integers(1, 255, (3, 1024, 1024), dtype=np.uint8)
        for offset in range(0, height - 1024, side // 10):
            raster.write(values, window=Window(offset, offset, 1024, 1024))
    return path


def make_objects(number: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Turned boxes (80 %) and long lines in pixels, and their classes."""
    rng = np.random.default_rng(1)
    boxes, lines = number * 8 // 10, number - number * 8 // 10
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)]) / 2
    size, angle = rng.uniform(4, 40, (boxes, 2)), rng.uniform(0, np.pi, boxes)
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    dx, dy = size[:, :1] * corners[:, 0], size[:, 1:] * corners[:, 1]
    centre = rng.uniform(0, side, (boxes, 2))[:, None]
    outlines = shapely.polygons(centre + np.stack([dx * cos - dy * sin, dx * sin + dy * cos], axis=2))
    start, way = rng.uniform(0, side, (lines, 2)), rng.uniform(0, 2 * np.pi, lines)
    along = rng.uniform(20, 600, lines)[:, None] * np.linspace(0, 1, 6)
    points = start[:, None] + np.stack([along * np.cos(way)[:, None], along * np.sin(way)[:, None]], axis=2)
    kinds = rng.choice(["building", "car", "ship", "storage tank"], boxes)
    shapes = np.concatenate([outlines, shapely.linestrings(points)])
    classes = np.concatenate([kinds, np.full(lines, "road")]).astype(object)
    order = rng.permutation(number)
    return shapes[order], classes[order]


def write_layer(path: Path, shapes: np.ndarray, classes: np.ndarray) -> Path:
    """The objects in longitude and latitude as a GeoPackage."""
    import pyogrio.raw
    import pyproj

    moved = pyproj.Transformer.from_crs(CRS, "EPSG:4326", always_xy=True)
    a, b, c, d, e, f = TRANSFORM[:6]
    coordinates = shapely.get_coordinates(shapes)
    places = np.stack(moved.transform(coordinates @ (a, b) + c, coordinates @ (d, e) + f), axis=1)
    wkb = shapely.to_wkb(shapely.set_coordinates(shapes.copy(), places))
    pyogrio.raw.write(path, wkb, [classes], fields=["class"], crs="EPSG:4326", geometry_type="Unknown")
    return path


def measured(code: str, *arguments: object) -> tuple[float, float, float, str]:
    """(CPU seconds, wall seconds, peak MB, first line of the output) of Python code in a process of its own."""
    start = time.perf_counter()
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(BYTECODE)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    first, *_, last = process.stdout.read().strip().split("\n")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"failed: {' '.join(command[3:])}")
    # Not ru_maxrss: that of a new process begins with the memory of this one.
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - start, int(last.split()[1]) / 1024, first


def tile_figures(name: str, scene: Path, folder: Path) -> dict[str, Any]:
    """Tiles per CPU second and memory of the command, and of the plain loop."""
    out = folder / f"tiles-{name}"
    cpu, wall, peak, output = measured(_TILE, "tile", scene, "--workers", 1, "--json", "--out", out)
    made = json.loads(output)
    number = made["tiles"] + sum(made["skipped"].values())
    figures: dict[str, Any] = {"scene": name, "tiles": made["tiles"], "skipped": made["skipped"]}
    figures |= {"tiles_per_cpu_s": round(number / cpu, 1), "cpu_s": round(cpu, 1), "wall_s": round(wall, 1)}
    return figures | {"peak_mb": round(peak), "plain_loop_per_cpu_s": round(plain_loop(scene), 1)}


def plain_loop(scene: Path) -> float:
    """Tiles per CPU second of what anybody would write first."""
    with rasterio.open(scene) as raster:
        columns, rows = raster.width // SIZE, raster.height // SIZE
        start = time.process_time()
        for number in range(PART):
            window = Window(number % columns * SIZE, number // columns % rows * SIZE, SIZE, SIZE)
            pixels = np.ascontiguousarray(raster.read(window=window).transpose(1, 2, 0))
            Image.fromarray(pixels).save(io.BytesIO(), "JPEG", quality=90)
        return PART / (time.process_time() - start)


def label_figures(scene: Path, layer: Path, folder: Path) -> dict[str, Any]:
    """CPU seconds and memory for laying all objects and for the anchors of all tiles, and of queries per tile."""
    import pyogrio.raw

    _, wall, peak, output = measured(_LABELS, scene, layer, folder / "labels")
    laying, counting, objects = map(float, output.split())
    with rasterio.open(scene) as raster:
        number = (raster.width // SIZE) * (raster.height // SIZE)
        columns = raster.width // SIZE
        start = time.process_time()
        for tile in range(PART):
            left, top = tile % columns * SIZE, tile // columns % (number // columns) * SIZE
            hull = rasterio.windows.bounds(Window(left, top, SIZE, SIZE), raster.transform)
            box = rasterio.warp.transform_bounds(raster.crs, "EPSG:4326", *hull)
            shapely.area(shapely.from_wkb(pyogrio.raw.read(layer, bbox=box)[2]))
        each = (time.process_time() - start) / PART
    figures = {"tiles": number, "laying_cpu_s": laying, "anchors_cpu_s": counting, "objects_in_tiles": int(objects)}
    return figures | {"wall_s": round(wall, 1), "peak_mb": round(peak), "query_per_tile_cpu_s": round(each * number, 1)}


def wrong_tiles(shapes: np.ndarray, classes: np.ndarray, scene: Path, layer: Path, folder: Path) -> int:
    """How many of CHECKED random tiles have other anchors than plain intersections of all objects give."""
    import pyarrow.parquet as pq

    out = folder / "checked"
    options = ("--labels", layer, "--workers", 1, "--json", "--out", out)
    figures = measured(_TILE, "tile", scene, *options)
    print(f"with labels: {figures[0]:.1f} CPU s, {figures[2]:.0f} MB", flush=True)
    rows = pq.read_table(out / "tiles.parquet").to_pylist()
    bounds = shapely.bounds(shapes)
    wrong = 0
    for number in np.random.default_rng(2).choice(len(rows), min(CHECKED, len(rows)), replace=False):
        left, top = rows[number]["col_off"], rows[number]["row_off"]
        near = (bounds[:, 0] <= left + SIZE) & (bounds[:, 2] >= left)
        near &= (bounds[:, 1] <= top + SIZE) & (bounds[:, 3] >= top)
        found = {anchor["name"]: (anchor["count"], len(anchor["boxes"])) for anchor in rows[number]["anchors"]}
        wrong += found != plain_anchors(shapes[near], classes[near], left, top)
    return wrong


def plain_anchors(shapes: np.ndarray, classes: np.ndarray, left: int, top: int) -> dict[str, tuple[int | None, int]]:
    """Count and number of visible objects by class in one tile, by the rules of docs/tile.md."""
    square = shapely.box(left, top, left + SIZE, top + SIZE)
    parts = shapely.intersection(shapes, square)
    area, whole = shapely.area(parts), shapely.covers(square, shapes)
    seen = np.where(whole, area >= 9, (area >= 16) | ((area >= 9) & (area >= 0.5 * shapely.area(shapes))))
    found: dict[str, tuple[int | None, int]] = {}
    for name in sorted(set(classes)):
        own = classes == name
        if name == "road":
            if shapely.length(parts[own]).sum() >= 0.1 * SIZE:
                found[name] = (None, 0)
        elif number := int((own & seen).sum()):
            found[name] = (number if whole[own & seen].all() else None, number)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        striped = make_striped(folder / "striped.tif", arguments.side)
        cog = folder / "cog.tif"
        rasterio.shutil.copy(striped, cog, driver="COG", compress="deflate", level=1, overview_resampling="average")
        print(tile_figures("COG", cog, folder), flush=True)
        print(tile_figures("striped", striped, folder), flush=True)
        wide = 5 * arguments.side
        for tiled, height in ((True, wide), (False, 4096)):  # strips: decoded whole, so only the width matters
            sparse = make_sparse(folder / f"sparse-{tiled}.tif", wide, height, tiled=tiled)
            print(tile_figures(f"sparse, {'blocks' if tiled else 'strips'}", sparse, folder), flush=True)
        shapes, classes = make_objects(arguments.objects, arguments.side)
        layer = write_layer(folder / "layer.gpkg", shapes, classes)
        print(label_figures(cog, layer, folder), flush=True)
        print(f"{wrong_tiles(shapes, classes, cog, layer, folder)} of {CHECKED} tiles differ from shapely", flush=True)


if __name__ == "__main__":
    main()
