"""Shipped manifests build real images of LoveDA, CVUSA and BigEarthNet: the right picture, bands and brightness."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from lrs2m_builder.build import Report, build
from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.exchange import Completion, Request
from tests.fake_engine import FakeModule, good_text
from tests.toy import rows


def answer(request: Request) -> Completion:
    return Completion("Fields lie beside a road." if request.role == "llm" else good_text(request.seed), "stop")


def build_shipped(name: str, recipe: str, folder: Path, out: Path) -> tuple[Report, dict[str, Image.Image], FakeModule]:
    """Build a shipped source; returns the report, the stored images by sample id, and what was asked."""
    module = FakeModule(answer)
    report = build(BuildOptions(recipe=recipe, source=name, data_dir=folder, out_dir=out, model="toy"), module)
    assert report.samples == report.records + sum(report.rejections.values())
    stored = {row["sample_id"]: Image.open(io.BytesIO(row["image"]["bytes"])) for row in rows(out)}
    return report, stored, module


def write_vhm_list(folder: Path, dataset: str, names: Sequence[str]) -> None:
    """VHM's list with a long text for each image."""
    entries = [
        {
            "image": name,
            "source_dataset": dataset,
            "conversations": [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": good_text(number)}],
        }
        for number, name in enumerate(names)
    ]
    (folder / "list_pretrain.json").write_text(json.dumps(entries))


@pytest.mark.parametrize("layout", ["img_dir", "img_dir/val", "Train/Rural/images_png"])
def test_loveda_is_built_beside_masks_of_the_same_names(real_data: Path, tmp_path: Path, layout: str) -> None:
    loveda = real_data / "mmseg_loveda"
    masks = layout.replace("img_dir", "ann_dir").replace("images_png", "masks_png")
    for path, target in ((tmp_path / layout, "img_dir"), (tmp_path / masks, "ann_dir")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(loveda / target)
    write_vhm_list(tmp_path, "LoveDA", ["0.png", "1.png", "2.png"])
    report, stored, _ = build_shipped("loveda", "long_to_short", tmp_path, tmp_path / "out")
    assert (report.samples, report.records, dict(report.rejections)) == (3, 2, {"image_missing": 1})
    for number in (0, 1):
        original = np.asarray(Image.open(loveda / "img_dir" / f"{number}.png"))
        assert (np.asarray(stored[f"loveda/LoveDA/{number}.png"]) == original).all()


def test_the_aerial_panel_of_cvusa_pairs_is_built(real_data: Path, tmp_path: Path) -> None:
    pairs = real_data / "crossview_selectiongan" / "cvusa"
    for split in ("train", "test"):
        (tmp_path / split).symlink_to(pairs / split)
    names = {path.name: path for path in pairs.glob("*/*.jpg")}
    write_vhm_list(tmp_path, "CVUSA", sorted(names))
    report, stored, _ = build_shipped("cvusa", "long_to_short", tmp_path, tmp_path / "out")
    assert (report.samples, report.records) == (5, 5)
    for name, path in names.items():
        aerial = np.asarray(Image.open(path))[:, :256]
        assert (np.asarray(stored[f"cvusa/CVUSA/{name}"]) == aerial).all()
        assert 50 < aerial.mean() < 200


def test_a_cvusa_image_of_its_own_is_built_as_it_is(real_data: Path, tmp_path: Path) -> None:
    pair = next((real_data / "crossview_selectiongan" / "cvusa").glob("*/*.jpg"))
    for folder in ("bingmap/18", "bingmap/19", "streetview/panos"):
        (tmp_path / folder).mkdir(parents=True)
        Image.open(pair).crop((0, 0, 256, 256)).save(tmp_path / folder / pair.name)
    original = (tmp_path / "bingmap" / "19" / pair.name).read_bytes()
    write_vhm_list(tmp_path, "CVUSA", [pair.name])
    report, _, _ = build_shipped("cvusa", "long_to_short", tmp_path, tmp_path / "out")
    assert report.records == 1
    assert rows(tmp_path / "out")[0]["image"]["bytes"] == original


@pytest.mark.parametrize("by_number", [True, False])
def test_bigearthnet_patches_are_built_in_true_colour(real_data: Path, tmp_path: Path, by_number: bool) -> None:
    patches = real_data / "bigearthnet_v2" / "BigEarthNet-S2"
    (patch,) = patches.glob("*/*")
    with (real_data / "rs5m" / "rs3_dump.csv").open(newline="") as file:
        line = next(line for line in csv.DictReader(file) if line["name"].startswith("ben_"))
    name = line["name"] if by_number else f"ben_{patch.name}.jpg"
    with (tmp_path / "rs3_dump.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("name", "caption"), (name, line["caption"])])
    link = tmp_path / Path(name).stem if by_number else tmp_path / "BigEarthNet-S2"
    link.symlink_to(patch if by_number else patches)
    report, stored, module = build_shipped("bigearthnet", "short_to_long", tmp_path, tmp_path / "out")
    assert (report.samples, report.records) == (1, 1)
    picture = np.asarray(stored[f"bigearthnet/{name.removeprefix('ben_')}"])
    assert picture.shape == (120, 120, 3) and 40 < picture.mean() < 215
    for channel, band in enumerate(("B04", "B03", "B02")):
        with rasterio.open(patch / f"{patch.name}_{band}.tif") as file:
            values = file.read(1)
        order = np.argsort(values, axis=None)
        assert (np.diff(picture[..., channel].ravel()[order].astype(int)) >= 0).all()  # brighter where the band is
    seen = module.engines[0].images[0]
    assert seen is not None and abs(np.asarray(seen).mean() - picture.mean()) < 5
