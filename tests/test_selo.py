"""Semantic localization: the published values, the map against a loop over pixels, and a test end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lrs2m_builder.cli import app
from lrs2m_builder.clip.model import random_model
from lrs2m_builder.clip.save import save
from lrs2m_builder.errors import UserError
from lrs2m_builder.evals.results import read_results
from lrs2m_builder.evals.selo.crops import make_crops
from lrs2m_builder.evals.selo.indicators import fill, make_region, measure
from lrs2m_builder.evals.selo.queries import read_queries
from lrs2m_builder.evals.selo.run import evaluate
from lrs2m_builder.evals.selo.text_map import jpeg_round_trip, make_map, raw_map
from lrs2m_builder.evals.selo.windows import make_windows

SQUARE = ((450.0, 380.0), (750.0, 380.0), (750.0, 620.0), (450.0, 620.0))


def blobs_map(height: int, width: int, blobs: list[list[float]], background: float = 0.0) -> np.ndarray:
    """Bell shapes of (x, y, sigma, height) over an even background, uint8."""
    rows, columns = np.mgrid[:height, :width]
    pixels = np.full((height, width), background)
    for x, y, sigma, top in blobs:
        pixels = np.maximum(pixels, top * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2)))
    return np.floor(255 * pixels + 0.5).astype(np.uint8)


def drawn_image(folder: Path, width: int = 700, height: int = 600) -> Path:
    """A green plain with a red square."""
    pixels = np.full((height, width, 3), (60, 120, 60), np.uint8)
    pixels[100:260, 120:300] = (200, 40, 30)
    pixels[::7, ::5] += 20
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / "plain.png")
    return folder / "plain.png"


def write_queries(folder: Path, *captions: str, name: str = "plain.png") -> Path:
    square = [[120.5, 100.0], [300.0, 100.0], [300.0, 260.0], [120.5, 260.0]]
    rows = [{"caption": caption, "jpg_name": name, "points": [square]} for caption in captions]
    (folder / "anno.json").write_text(json.dumps(rows))
    return folder / "anno.json"


def loop_map(windows: list[Any], scores: np.ndarray, height: int, width: int) -> np.ndarray:
    """The map as it is defined: sums and counts a pixel, then a loop over all pixels."""
    sums, counts = np.zeros((height, width)), np.zeros((height, width))
    for window, score in zip(windows, scores, strict=True):
        sums[window.top : window.bottom, window.left : window.right] += score
        counts[window.top : window.bottom, window.left : window.right] += 1
    for row in range(height):
        for column in range(width):
            sums[row, column] = sums[row, column] / counts[row, column]
    sums -= sums.min()
    return (255 * (sums / sums.max())).astype(np.uint8)


@pytest.mark.parametrize(("height", "width", "number"), [(10000, 10001, 4283), (5000, 5000, 1095), (2000, 3000, 261)])
def test_an_image_has_as_many_windows_as_in_the_published_protocol(height: int, width: int, number: int) -> None:
    windows = make_windows(height, width)
    assert len(windows) == len(set(windows)) == number


@pytest.mark.parametrize(("height", "width"), [(1, 1), (100, 3000), (256, 256), (300, 511), (769, 600)])
def test_windows_cover_every_pixel_and_stay_inside(height: int, width: int) -> None:
    covered = np.zeros((height, width), bool)
    for window in make_windows(height, width):
        assert 0 <= window.top < window.bottom <= height and 0 <= window.left < window.right <= width
        covered[window.top : window.bottom, window.left : window.right] = True
    assert covered.all()


@pytest.mark.parametrize(("height", "width"), [(613, 901), (200, 1100)])
def test_the_map_equals_a_loop_over_pixels_in_every_pixel(height: int, width: int) -> None:
    windows = make_windows(height, width)
    scores = np.random.default_rng(height).normal(0.2, 0.05, len(windows)).astype(np.float32)
    assert np.array_equal(raw_map(windows, scores), loop_map(windows, scores, height, width))


def test_a_map_of_one_value_is_empty() -> None:
    windows = make_windows(300, 400)
    assert not make_map(windows, np.full(len(windows), 0.25, np.float32)).any()


def test_the_indicators_equal_the_published_codes(real_data: Path) -> None:
    path = real_data.parent / "golden" / "selo.json"
    if not path.is_file():
        pytest.skip(f"no reference values at {path}")
    for name, case in json.loads(path.read_text())["cases"].items():
        found = measure(blobs_map(case["H"], case["W"], case["blobs"], case.get("background", 0.0)), case["regions"])
        assert sorted(found.centres) == sorted(map(tuple, case["centers"])), name
        for value, key in ((found.r_su, "rsu"), (found.r_as, "ras"), (found.r_da, "rda"), (found.r_mi, "rmi")):
            assert value == pytest.approx(case[key], abs=1e-6), (name, key)
        if "cr" in case:
            regions = [make_region(polygon) for polygon in case["regions"]]
            assert [[region.x, region.y, region.radius] for region in regions] == case["cr"], name
            assert fill(case["regions"], (case["H"], case["W"])).sum() == case["mask_px"], name


def test_a_peak_in_the_middle_of_its_region_is_the_best_there_is() -> None:
    found = measure(blobs_map(1200, 1400, [[598, 498, 60, 1.0]]), [SQUARE])
    assert found.centres == ((600, 500),)  # five blurs of an even width move it by two pixels
    assert (found.r_as, found.r_da) == (0.0, 1.0) and found.r_su > 0.999 and found.r_mi > 0.999


def test_a_peak_outside_of_every_region_counts_as_none() -> None:
    found = measure(blobs_map(1200, 2400, [[2000, 500, 60, 1.0]]), [SQUARE])
    assert found.centres and (found.r_as, found.r_da) == (1.0, 0.0) and found.r_su < 1e-6


def test_polygons_beside_the_image_are_refused() -> None:
    with pytest.raises(UserError, match="cover no pixel"):
        measure(np.full((100, 100), 200, np.uint8), [SQUARE])


def test_crops_go_through_jpeg_only_in_the_published_protocol() -> None:
    image = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    window = make_windows(300, 300)[:1]
    (exact,) = make_crops(image, window, compat=False)
    (stored,) = make_crops(image, window)
    assert np.array_equal(np.asarray(exact), image[:256, :256])
    assert np.array_equal(np.asarray(stored), jpeg_round_trip(image[:256, :256]))


def test_jpeg_keeps_the_order_of_the_colours() -> None:
    red = np.full((64, 64, 3), (250, 10, 10), np.uint8)
    assert np.abs(jpeg_round_trip(red).astype(int) - red).max() < 4


def test_air_slt_is_read(real_data: Path, tmp_path: Path) -> None:
    path = real_data / "selo_air_slt" / "annotations" / "anno.json"
    for number in range(22):
        (tmp_path / f"{number}.jpg").touch()
    queries = read_queries(path, tmp_path)
    assert len(queries) == 59 and len({query.image_path for query in queries}) == 22
    assert not [query for query in queries if query.caption != query.caption.strip()]


def test_missing_images_are_one_clear_line(real_data: Path) -> None:
    folder = real_data / "selo_air_slt"
    arguments = [folder / "annotations" / "anno.json", "--images", folder / "imgs", "--model", "none/such"]
    result = CliRunner().invoke(app, ["eval", "selo", *map(str, arguments)])
    assert isinstance(result.exception, UserError)
    assert "22 of 22 images are not there (0.jpg, 10.jpg, 11.jpg ...)" in str(result.exception)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{",
        '["a"]',
        '[{"caption": "a"}]',
        '[{"caption": " ", "jpg_name": "a", "points": [[[0, 0], [1, 0], [1, 1]]]}]',
        '[{"caption": "a", "jpg_name": "a", "points": [[[0, 0], [0, 0], [1, 1]]]}]',
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "anno.json").write_text(content)
    with pytest.raises(UserError, match=r".*anno\.json"):
        read_queries(tmp_path / "anno.json", tmp_path)


def test_the_crops_of_an_image_are_encoded_once_for_all_its_texts(tmp_path: Path) -> None:
    drawn_image(tmp_path)
    loaded = random_model()
    seen = []
    loaded.model.vision_model.register_forward_hook(lambda *_, **__: seen.append(1))
    _, once = evaluate(loaded, read_queries(write_queries(tmp_path, "a"), tmp_path), show_progress=False)
    num_batches = len(seen)
    _, both = evaluate(loaded, read_queries(write_queries(tmp_path, "a", "b"), tmp_path), show_progress=False)
    assert len(seen) == 2 * num_batches
    assert both["queries"][0] == once["queries"][0]


def test_the_command_writes_indicators_and_a_picture_of_each_query(tmp_path: Path) -> None:
    drawn_image(tmp_path)
    data = write_queries(tmp_path, "a red square\n", "a green plain")
    save(random_model(), tmp_path / "model", open_clip=False)
    arguments = ["eval", "selo", data, "--model", tmp_path / "model", "--out", tmp_path / "out", "--json"]
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    (written,) = read_results(tmp_path / "out")
    assert json.loads(result.stdout)["metrics"] == written.metrics
    values = [query["r_mi"] for query in written.details["queries"]]
    assert written.metrics["r_mi"] == pytest.approx(sum(values) / 2)
    assert all(0 <= value <= 1 for value in written.metrics.values())
    assert written.details["queries"][0]["caption"] == "a red square"
    assert Image.open(tmp_path / "out" / "maps" / "001.png").width == 1100
