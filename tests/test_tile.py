"""`lrs2m tile`: scenes of any kind become tiles with the right pixels and places, whatever interrupts it."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.enums import Resampling
from rasterio.rpc import RPC
from rasterio.transform import Affine

from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.errors import UserError
from lrs2m_builder.sources import open_source, read_samples
from lrs2m_builder.tile.options import TileOptions, parse_bands
from lrs2m_builder.tile.run import TileReport, tile
from tests.tile_data import BLOCKS, UTM, files_of, table_of, values_at, write_scene

REAL = Path(os.environ.get("LRS2M_REAL_DATA", "../shared/data"))


def tiled(scene: Path, out: Path, **options: Any) -> TileReport:
    return tile(TileOptions((scene,), out, **{"size": 64, "format": "png", **options}))


def pixels(out: Path, row: dict[str, Any]) -> np.ndarray:
    return np.asarray(Image.open(out / row["image"]))


@pytest.mark.parametrize("profile", [{}, BLOCKS, {"interleave": "band", "compress": "deflate"}])
def test_tiles_hold_the_pixels_of_their_window(tmp_path: Path, profile: dict[str, Any]) -> None:
    """Striped, in blocks, and band by band; what is left at the right and bottom is less than a tile."""
    values = values_at(300, 200, "uint8")
    report = tiled(write_scene(tmp_path / "scene.tif", values, **profile), tmp_path / "out", overlap=14)
    rows = table_of(tmp_path / "out")
    assert report.tiles == len(rows) == 5 * 3
    for row in rows:
        left, top = row["col_off"], row["row_off"]
        assert row["image"] == f"images/scene/scene_{left:06d}_{top:06d}.png"
        assert np.array_equal(
            pixels(tmp_path / "out", row), values[:, top : top + 64, left : left + 64].transpose(1, 2, 0)
        )


@pytest.mark.parametrize("profile", [{}, BLOCKS])
def test_a_scene_too_wide_for_the_memory_is_read_in_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: dict[str, Any]
) -> None:
    values = values_at(500, 150, "uint8")
    scene = write_scene(tmp_path / "scene.tif", values, nodata=0, **profile)
    tiled(scene, tmp_path / "whole", overlap=14)
    for bound, size in (("MAX_READ", 40_000), ("MAX_LINES", 5_000), ("MAX_ROW", 30_000)):
        monkeypatch.setattr(f"lrs2m_builder.tile.reading.{bound}", size)
    tiled(scene, tmp_path / "turns", overlap=14)
    assert _tiles(tmp_path / "turns") == _tiles(tmp_path / "whole")


def test_every_tile_knows_its_place(tmp_path: Path) -> None:
    from lrs2m_builder.images.place import footprints

    tiled(write_scene(tmp_path / "scene.tif", values_at(200, 130, "uint8")), tmp_path / "out")
    for row in table_of(tmp_path / "out"):
        (place,) = footprints(UTM, rasterio.CRS.from_epsg(32616), [(row["col_off"], row["row_off"], 64, 64)])
        assert place is not None and row["crs"] == "EPSG:32616"
        assert (row["lon"], row["lat"], row["grid_cell"]) == (place.lon, place.lat, place.grid_cell)
        assert tuple(row["bbox"].values()) == place.bbox and row["geometry"] == place.geometry
        assert row["gsd"] == pytest.approx(0.5, rel=0.002)
        assert Affine(*row["transform"]) @ (0, 0) == UTM @ (row["col_off"], row["row_off"])


def test_the_table_is_geoparquet_that_other_readers_open(tmp_path: Path) -> None:
    tiled(write_scene(tmp_path / "scene.tif", values_at(130, 130, "uint8")), tmp_path / "out")
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "out" / "tiles.parquet"
    kind, number = duckdb.sql(
        f"SELECT typeof(geometry), count(*) FROM '{path}' WHERE bbox.xmin < -80 GROUP BY ALL"
    ).fetchall()[0]
    assert "GEOMETRY" in kind and number == 4


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_all_tiles_of_a_scene_share_one_stretch(tmp_path: Path, dtype: str) -> None:
    """The same value gives the same grey in every tile; the limits are the percentiles of the whole scene."""
    values = values_at(256, 256, dtype)
    values[:, :64, :64] //= 8  # a dark corner, which a stretch of its own would brighten
    tiled(write_scene(tmp_path / "scene.tif", values), tmp_path / "out")
    greys: dict[float, set[int]] = {}
    for row in table_of(tmp_path / "out"):
        window = values[0, row["row_off"] : row["row_off"] + 64, row["col_off"] : row["col_off"] + 64]
        for value, grey in zip(
            window.ravel().tolist(), pixels(tmp_path / "out", row)[:, :, 0].ravel().tolist(), strict=True
        ):
            greys.setdefault(value, set()).add(grey)
    assert all(len(each) == 1 for each in greys.values())
    low, high = np.percentile(values[0], (2, 98))
    for value, (grey,) in greys.items():
        assert grey == pytest.approx(np.clip((value - low) / (high - low) * 255, 0, 255), abs=1.01)


def test_a_large_scene_without_overviews_is_stretched_by_a_sample_and_one_with_by_its_overview(tmp_path: Path) -> None:
    from lrs2m_builder.tile.scene import look_at
    from lrs2m_builder.tile.stretching import find_stretch

    values = values_at(2600, 2600, "uint16", bands=1)
    options = TileOptions((), tmp_path)
    true = np.percentile(values[0], (2, 98))
    for name, levels in (("plain", []), ("pyramid", [2, 4])):
        path = write_scene(tmp_path / f"{name}.tif", values, **BLOCKS)
        if levels:
            with rasterio.open(path, "r+") as raster:
                raster.build_overviews(levels, Resampling.average)
        limits = find_stretch(look_at(name, path, options), options).limits
        assert limits is not None
        assert np.allclose(limits[0], true, atol=0.12 * (true[1] - true[0]))


def test_a_stretch_of_ones_own_or_none_and_chosen_bands(tmp_path: Path) -> None:
    values = values_at(64, 64, "uint16", bands=5) % 300
    scene = write_scene(tmp_path / "scene.tif", values)
    tiled(scene, tmp_path / "fixed", stretch="100:200", bands=parse_bands("5,1,2"))
    fixed = pixels(tmp_path / "fixed", table_of(tmp_path / "fixed")[0])
    assert np.abs(fixed - np.clip((values[[4, 0, 1]].transpose(1, 2, 0) - 100.0) * 2.55, 0, 255)).max() <= 1
    tiled(scene, tmp_path / "none", stretch="none", bands=(3,))
    assert np.array_equal(pixels(tmp_path / "none", table_of(tmp_path / "none")[0]), np.minimum(values[2], 255))


def test_tiles_with_too_little_data_are_left_out_and_no_data_is_black(tmp_path: Path) -> None:
    values = values_at(256, 128, "uint16")
    values[:, :, 100:] = 65535  # tagged below
    report = tiled(write_scene(tmp_path / "tagged.tif", values, nodata=65535), tmp_path / "tagged", min_valid=0.5)
    rows = table_of(tmp_path / "tagged")
    assert report.skipped == {"no_data": 4} and [row["col_off"] for row in rows] == [0, 64, 0, 64]
    assert rows[1]["valid_share"] == pytest.approx(36 / 64) and not pixels(tmp_path / "tagged", rows[1])[:, 36:].any()
    assert pixels(tmp_path / "tagged", rows[1])[:, :36].any()
    values[:, :, 100:] = 0  # not tagged, but far from all other values
    values[:, :, :100] += 3000
    report = tiled(write_scene(tmp_path / "untagged.tif", values), tmp_path / "untagged", min_valid=0.5)
    assert report.skipped == {"no_data": 4}


def test_masks_alpha_bands_and_palettes_are_understood(tmp_path: Path) -> None:
    values = values_at(128, 64, "uint8", bands=4)
    values[3] = 255
    values[3, :, 70:] = 0
    tiled(write_scene(tmp_path / "alpha.tif", values, photometric="RGB", alpha="yes"), tmp_path / "a", min_valid=0)
    assert [row["valid_share"] for row in table_of(tmp_path / "a")] == pytest.approx([1, 6 / 64])
    index = (values[:1] % 3).astype(np.uint8)
    path = write_scene(tmp_path / "palette.tif", index)
    with rasterio.open(path, "r+") as raster:
        raster.write_colormap(1, {0: (0, 100, 0), 1: (200, 0, 0), 2: (0, 0, 250)})
    tiled(path, tmp_path / "p")
    colours = np.array([(0, 100, 0), (200, 0, 0), (0, 0, 250)])
    assert np.array_equal(pixels(tmp_path / "p", table_of(tmp_path / "p")[0]), colours[index[0, :, :64]])


def test_a_scene_is_resampled_to_metres_per_pixel(tmp_path: Path) -> None:
    """Pixels of degrees are twice as high as wide at 60 degrees of latitude; those of the tiles are square."""
    values = np.repeat(np.repeat(values_at(80, 80, "uint8"), 4, axis=1), 4, axis=2)
    scene = write_scene(tmp_path / "s.tif", values, transform=Affine(1e-4, 0, 10, 0, -1e-4, 60), crs="EPSG:4326")
    tiled(scene, tmp_path / "out", gsd=22.3)
    rows = table_of(tmp_path / "out")
    assert len(rows) == 2 * 1 and rows[0]["gsd"] == pytest.approx(22.3, rel=0.005)
    west, east = rows[0]["bbox"]["xmin"], rows[0]["bbox"]["xmax"]
    assert (east - west) * 111_320 * 0.5 == pytest.approx(64 * 22.3, rel=0.01)
    mean = values[:, : round(64 * 22.3 / 11.14), : round(64 * 22.3 / 5.57)].mean()
    assert pixels(tmp_path / "out", rows[0]).mean() == pytest.approx(mean, rel=0.03)


def test_ground_control_points_place_a_scene(tmp_path: Path) -> None:
    values = np.zeros((1, 128, 128), np.uint8)
    values[0, 40:44, 100:104] = 255  # a mark, whose place must be kept
    turned = Affine.translation(500_000, 4_000_000) @ Affine.rotation(30) @ Affine.scale(2, -2)
    spots = [(0, 0), (0, 128), (128, 0), (128, 128), (64, 64)]
    points = [GroundControlPoint(row, col, *(turned @ (col, row))) for row, col in spots]
    path = tmp_path / "points.tif"
    with rasterio.open(path, "w", driver="GTiff", width=128, height=128, count=1, dtype="uint8") as raster:
        raster.write(values)
        raster.gcps = points, rasterio.CRS.from_epsg(32633)
    tiled(path, tmp_path / "out", min_valid=0)
    marks = []
    for row in table_of(tmp_path / "out"):
        assert row["crs"] == "EPSG:32633"
        y, x = np.nonzero(pixels(tmp_path / "out", row) > 127)
        marks += [Affine(*row["transform"]) @ (a + 0.5, b + 0.5) for a, b in zip(x, y, strict=True)]
    assert np.allclose(np.mean(marks, axis=0), turned @ (102, 42), atol=1)


def test_a_scene_without_a_place_is_tiled_without_one(tmp_path: Path) -> None:
    tiled(write_scene(tmp_path / "s.tif", values_at(64, 64, "uint8"), transform=None, crs=None), tmp_path / "out")
    (row,) = table_of(tmp_path / "out")
    assert row["lon"] is row["geometry"] is row["crs"] is row["transform"] is row["anchors"] is None


def test_a_local_coordinate_system_is_no_place_on_earth(tmp_path: Path) -> None:
    local = rasterio.CRS.from_wkt('LOCAL_CS["site grid",UNIT["metre",1]]')
    tiled(write_scene(tmp_path / "s.tif", values_at(64, 64, "uint8"), crs=local), tmp_path / "out")
    (row,) = table_of(tmp_path / "out")
    assert row["lon"] is None and row["crs"] is None and row["transform"] == list(UTM)[:6]


def refused(scene: Path | tuple[Path, ...], out: Path, **options: Any) -> str:
    with pytest.raises(UserError) as error:
        tile(TileOptions(scene if isinstance(scene, tuple) else (scene,), out, **{"size": 64, **options}))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_scenes_that_cannot_be_tiled_are_refused_in_one_line(tmp_path: Path) -> None:
    out = tmp_path / "out"
    scene = write_scene(tmp_path / "s.tif", values_at(100, 100, "uint8"))
    assert "smaller than a tile" in refused(scene, out, size=128)
    assert "asks for band 7, but it has 3" in refused(scene, out, bands=(7,))
    (tmp_path / "other").mkdir()
    twin = write_scene(tmp_path / "other" / "s.tif", values_at(100, 100, "uint8"))
    assert "two scenes of one name, s" in refused((scene, twin), out)
    complex_ = write_scene(tmp_path / "c.tif", values_at(100, 100, "float32").astype(np.complex64))
    assert "complex64" in refused(complex_, out)
    lost = write_scene(tmp_path / "lost.tif", values_at(100, 100, "uint8"), crs=None)
    assert "--gsd has no meaning" in refused(lost, out, gsd=1)
    (tmp_path / "text.tif").write_text("not a raster")
    assert "not an image in a known format" in refused(tmp_path / "text.tif", out)
    assert "no such file" in refused(tmp_path / "none.tif", out)
    rpc = tmp_path / "rpc.tif"
    numbers = [1.0, *[0.0] * 19]
    with rasterio.open(rpc, "w", driver="GTiff", width=100, height=100, count=1, dtype="uint8") as raster:
        raster.write(np.ones((1, 100, 100), np.uint8))
        raster.rpcs = RPC(0, 100, 33, 0.1, numbers, numbers, 50, 50, -84, 0.1, numbers, numbers, 50, 50)
    assert "RPCs only; orthorectify" in refused(rpc, out)
    assert not out.exists()


def test_a_scene_in_one_huge_block_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lrs2m_builder.tile.scene.MAX_BLOCK", 2**15)
    scene = write_scene(tmp_path / "s.tif", values_at(128, 128, "uint8"), compress="deflate", blockysize=128)
    message = refused(scene, tmp_path / "out")
    assert "blocks of 128 x 128 pixels" in message and "gdal_translate -of COG" in message


def test_changed_options_are_refused_with_the_difference(tmp_path: Path) -> None:
    scene, out = write_scene(tmp_path / "s.tif", values_at(200, 200, "uint8")), tmp_path / "out"
    tiled(scene, out)
    before = files_of(out)
    assert "size was 64, now 100" in refused(scene, out, size=100, format="png")
    write_scene(scene, values_at(200, 200, "uint8", seed=1))
    assert "scenes.s was" in refused(scene, out, format="png")
    assert files_of(out) == before


def test_a_full_disk_is_one_line_and_the_same_command_finishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lrs2m_builder.tile import rows

    scene = write_scene(tmp_path / "s.tif", values_at(400, 400, "uint8"))
    tiled(scene, tmp_path / "whole")
    write, written = rows._write, []

    def full(path: Path, data: bytes) -> None:
        written.append(path)
        if len(written) == 15:
            raise OSError(28, "No space left on device", str(path))
        write(path, data)

    monkeypatch.setattr(rows, "_write", full)
    assert "no space left on the disk" in refused(scene, tmp_path / "out", format="png")
    assert not (tmp_path / "out" / "tiles.parquet").exists()
    tiled(scene, tmp_path / "out")
    assert _tiles(tmp_path / "out") == _tiles(tmp_path / "whole")


def _tiles(out: Path) -> dict[str, bytes]:
    """All files but the manifest, which is named after the folder."""
    return {name: data for name, data in files_of(out).items() if name != "manifest.yaml"}


def test_other_numbers_of_workers_give_the_same_bytes(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / "s.tif", values_at(300, 300, "uint16"), **BLOCKS)
    for workers in (1, 2):
        tiled(scene, tmp_path / str(workers), workers=workers)
    assert _tiles(tmp_path / "1") == _tiles(tmp_path / "2")


def test_killed_at_any_moment_and_run_again_gives_the_same_bytes(tmp_path: Path) -> None:
    """Killed 20 times in the middle of its work, as far as it gets, then finished and compared."""
    scene = write_scene(tmp_path / "s.tif", values_at(640, 640, "uint8"))
    tiled(scene, tmp_path / "whole", size=32)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lrs2m_builder.tile.run", "pyarrow.parquet", "rasterio.vrt"])
    rng, out = random.Random(3), tmp_path / "out"
    kills = 0
    while kills < 20 and not (out / "tiles.parquet").exists():
        before = len(list(out.glob("images/*/*.png")))
        wanted = before + rng.randrange(1, 16)
        process = context.Process(target=tiled, args=(scene, out), kwargs={"size": 32})
        process.start()
        while process.is_alive() and len(list(out.glob("images/*/*.png"))) < wanted:
            time.sleep(0.001)
        process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
    assert kills >= 10
    tiled(scene, out, size=32)
    assert _tiles(out) == _tiles(tmp_path / "whole")


def test_tiles_are_a_source_with_places_and_anchors(tmp_path: Path) -> None:
    tiled(write_scene(tmp_path / "s.tif", values_at(130, 130, "uint8")), tmp_path / "out")
    samples = list(read_samples(open_source(load_manifest(str(tmp_path / "out" / "manifest.yaml")), tmp_path / "out")))
    rows = table_of(tmp_path / "out")
    assert [sample.sample_id for sample in samples] == [f"out/{row['image']}" for row in rows]
    for sample, row in zip(samples, rows, strict=True):
        assert sample.problem is None and sample.image_path == tmp_path / "out" / row["image"]
        place = sample.place
        assert (place.lon, place.lat, place.crs, place.gsd, place.grid_cell) == (
            *(row[name] for name in ("lon", "lat", "crs", "gsd", "grid_cell")),
        )
        assert place.bbox == tuple(row["bbox"].values()) and place.geometry == row["geometry"]


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real data at {REAL}")
def test_a_real_scene_is_cut_as_another_tool_cuts_it(tmp_path: Path) -> None:
    """Solaris cut its 900 x 900 sample into tiles of 90 pixels: each equals ours, pixel by pixel."""
    folder = REAL / "spacenet_solaris"
    tile(TileOptions((folder / "sample_geotiff.tif",), tmp_path, size=90, stretch="0:2000", format="png"))
    ours = {tuple(round(v) for v in (row["transform"][2], row["transform"][5])): row for row in table_of(tmp_path)}
    expected = sorted((folder / "tiles" / "rastertile_test_expected").glob("*.tif"))
    assert len(expected) > 20
    for path in expected:
        with rasterio.open(path) as raster:
            values, corner = raster.read(), (round(raster.transform.c), round(raster.transform.f))
        wanted = np.clip(values[0].astype(float) * (255 / 2000), 0, 255).astype(np.uint8)
        assert np.array_equal(pixels(tmp_path, ours[corner]), wanted)
