"""The sample world as one raster with a map layer: its tiles are its scenes, with anchors, boxes and a place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.sample.drawing.scene import draw_scene
from lrs2m_builder.sample.drawing.sketch import SIDE
from lrs2m_builder.sample.mosaic import GSD, scene_offset, write_mosaic
from lrs2m_builder.sample.relations import BANDS
from lrs2m_builder.schema import Sample
from lrs2m_builder.sources import open_source, read_samples
from lrs2m_builder.tile.options import TileOptions
from lrs2m_builder.tile.run import tile
from tests.in_process import lrs2m

pytest.importorskip("pyogrio")
NUM_SCENES, SEED = 11, 7


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, int], Sample]:
    """The tiles of a mosaic, by their upper left pixel."""
    folder = tmp_path_factory.mktemp("mosaic")
    raster, layer = write_mosaic(folder / "mosaic", NUM_SCENES, SEED)
    tile(TileOptions((raster,), folder / "tiles", labels=(str(layer),), size=SIDE, format="png"))
    manifest = load_manifest(str(folder / "tiles" / "manifest.yaml"))
    samples = read_samples(open_source(manifest, folder / "tiles"))
    return {_offset(sample): sample for sample in samples}


def _offset(sample: Sample) -> tuple[int, int]:
    column, row = Path(sample.image_name).stem.split("_")[-2:]
    return int(column), int(row)


def test_every_scene_is_a_tile_with_its_pixels_and_its_place(tiles: dict[tuple[int, int], Sample]) -> None:
    assert sorted(tiles) == sorted(scene_offset(index, NUM_SCENES) for index in range(NUM_SCENES))
    for index in range(NUM_SCENES):
        sample = tiles[scene_offset(index, NUM_SCENES)]
        assert isinstance(sample.image_path, Path)
        drawn = np.maximum(np.asarray(draw_scene(SEED, index).image), 1)
        assert np.array_equal(np.asarray(Image.open(sample.image_path)), drawn)
        assert sample.place.crs == "EPSG:32633" and sample.place.gsd == pytest.approx(GSD, rel=0.005)


def test_the_anchors_of_a_tile_are_the_objects_of_its_scene(tiles: dict[tuple[int, int], Sample]) -> None:
    for index in range(NUM_SCENES):
        scene, sample = draw_scene(SEED, index), tiles[scene_offset(index, NUM_SCENES)]
        assert sample.image_size == (SIDE, SIDE)
        counts = {anchor.name: anchor.count for anchor in sample.anchors}
        assert counts.keys() == scene.counts.keys()
        for anchor in sample.anchors:
            if anchor.name in BANDS:
                continue  # they cross the edge of the tile
            assert anchor.count == scene.counts[anchor.name]
            middles = np.array([thing.center for thing in scene.of(anchor.name)])
            found = np.array([((x0 + x1) / 2, (y0 + y1) / 2) for x0, y0, x1, y1 in anchor.boxes])
            off = np.abs(found[:, None] - middles).max(2)
            assert sorted(off.argmin(1)) == list(range(len(middles)))
            assert off.min(1).max() <= 8  # other objects hide parts of some outlines


def test_the_command_draws_a_mosaic_and_says_how_to_tile_it(tmp_path: Path) -> None:
    result = lrs2m("sample", "--format", "mosaic", "--scenes", "2", "--out", tmp_path / "m")
    assert result.code == 0
    assert f"lrs2m tile {tmp_path / 'm' / 'mosaic.tif'} --labels {tmp_path / 'm' / 'objects.geojson'}" in result.out
