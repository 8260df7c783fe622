"""Every shipped manifest builds from a small source in its own true form; a new one needs a maker here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.run import build
from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.declared.shipped import shipped_names
from lrs2m_builder.exchange import Completion, Request
from lrs2m_builder.sample.formats import write_sample_source
from lrs2m_builder.sources._survey import survey
from lrs2m_builder.tokenizer import count_tokens
from tests.fake_engine import FakeModule, good_text
from tests.test_archives import write_rs5m_tars
from tests.test_long_to_short import LONG, entry, write_vhm
from tests.test_merge import write_rs5m
from tests.toy import rows

NUM_USABLE = 4  # each source has one row more, whose image is missing


def draw(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 24), (number * 37 % 256, 120, 60)).save(path)


def karpathy(folder: Path, annotations: str, image: str, split: str = "train", first: int = 1) -> None:
    """Five images; the captions repeat as in the published files, and one image is not there."""
    images = []
    for number in range(first, first + NUM_USABLE + 1):
        name = Path(image.format(number)).name
        sentences = [
            {"raw": f"Field {number} lies at a road .", "tokens": ["Field"], "imgid": number, "sentid": number}
        ]
        images.append({"filename": name, "split": split, "imgid": number, "sentids": [1], "sentences": sentences * 2})
        if number < first + NUM_USABLE:
            draw(folder / image.format(number), number)
    (folder / annotations).write_text(json.dumps({"images": images, "dataset": "toy"}))


def remoteclip(folder: Path, annotations: str) -> None:
    lines = ["title\tfilename"]
    for number in range(NUM_USABLE + 1):
        lines += [f"{number} planes .\t{number}.jpg", f"There are planes .\t{number}.jpg"]
        if number < NUM_USABLE:
            draw(folder / "images" / f"{number}.jpg", number)
    (folder / annotations).write_text("\ufeff" + "\r\n".join(lines) + "\r\n", encoding="utf-8", newline="")


def vhm(folder: Path, dataset: str) -> None:
    write_vhm(folder, [entry(f"{dataset}_{number}.png", dataset) for number in range(NUM_USABLE + 1)])
    (folder / dataset / f"{dataset}_{NUM_USABLE}.png").unlink()


def millionaid(folder: Path) -> None:
    write_vhm(folder, [entry(f"P{number:07}.jpg", "million_aid") for number in range(NUM_USABLE + 1)])
    (folder / "million_aid" / f"P{NUM_USABLE:07}.jpg").unlink()
    names = [f"millionaid_P{number:07}.jpg" for number in range(NUM_USABLE + 1)]
    write_rs5m(folder / "rs3_dump.csv", dict.fromkeys([*names, "fmow_barn_1_2_rgb.jpg"], "an aerial view of a farm"))


def bigearthnet(folder: Path) -> None:
    write_rs5m_tars(folder, NUM_USABLE)
    tar = folder / "rs3-train-0001.tar"  # its last image ends too early
    tar.write_bytes(tar.read_bytes()[: tar.read_bytes().rindex(b"\xff\xd8\xff") + 60])


def vector_labels(folder: Path) -> None:
    (folder / "labels").mkdir()
    for number in range(NUM_USABLE + 1):
        ring = [[0, 0], [0, 9], [9, 9], [0, 0]]
        outline = {"type": "Polygon", "coordinates": [ring]}
        feature = {"type": "Feature", "properties": {"building": "yes"}, "geometry": outline}
        collection = {"type": "FeatureCollection", "features": [feature] * 3}
        (folder / "labels" / f"tile_{number}.geojson").write_text(json.dumps(collection))
        if number < NUM_USABLE:
            draw(folder / "images" / f"tile_{number}.tif", number)


def sample(folder: Path) -> None:
    write_sample_source("world", folder, NUM_USABLE + 1)
    (folder / "images" / f"{NUM_USABLE:05d}.png").unlink()


MAKERS: dict[str, Callable[[Path], None]] = {
    "bigearthnet": bigearthnet,
    "crowdai": lambda folder: vhm(folder, "crowdAI"),
    "cvact": lambda folder: vhm(folder, "CVACT"),
    "cvusa": lambda folder: vhm(folder, "CVUSA"),
    "det10": lambda folder: remoteclip(folder, "det-10.csv"),
    "fmow": lambda folder: vhm(folder, "fMoW"),
    "loveda": lambda folder: vhm(folder, "LoveDA"),
    "millionaid": millionaid,
    "openlandmap": vector_labels,
    "rsicd": lambda folder: karpathy(folder, "dataset_rsicd.json", "RSICD_images/airport_{}.jpg", "test"),
    "rsitmd": lambda folder: karpathy(folder, "dataset_RSITMD.json", "images/airport_{}.tif", "test"),
    "sample": sample,
    "seg4": lambda folder: remoteclip(folder, "seg-4.csv"),
    "sydney": lambda folder: karpathy(folder, "dataset.json", "imgs/{}.tif"),
    "ucmerced": lambda folder: karpathy(folder, "dataset.json", "imgs/{}.tif", first=98),
}


def recipe_of(name: str) -> str:
    manifest = load_manifest(name)
    if manifest.format == "scenes_jsonl":
        return "merge"
    if manifest.format == "vhm_json":
        return "merge" if manifest.join else "long_to_short"
    return "vector_anchored" if manifest.format == "vector_labels" else "short_to_long"


def answer(request: Request) -> Completion:
    if request.role == "llm":
        return Completion("Fields and buildings lie at a grey road.", "stop")
    is_described = "described" in request.parts[1]
    seen = "Fields, planes and a sandy shore at a road" if is_described else "Three buildings"
    return Completion(f"{seen} can be seen. {good_text(request.seed)}", "stop")


@pytest.mark.parametrize("name", shipped_names("manifests"))
def test_a_shipped_manifest_builds_from_a_small_source_in_its_true_form(tmp_path: Path, name: str) -> None:
    data_dir, out_dir = tmp_path / "data", tmp_path / "out"
    data_dir.mkdir()
    MAKERS[name](data_dir)
    options = BuildOptions(
        recipe=recipe_of(name), source=name, data_dir=data_dir, out_dir=out_dir, model="toy-model", shard_size=3
    )
    report = build(options, FakeModule(answer))
    assert (report.samples, report.records, sum(report.rejections.values())) == (NUM_USABLE + 1, NUM_USABLE, 1)
    assert next(iter(report.rejections)).startswith("image_")
    manifest = load_manifest(name)
    for row in rows(out_dir):
        assert row["sample_id"].startswith(f"{name}/")
        assert row["subset"] == name and row["license"] == manifest.license
        assert row["caption_short"] and row["caption_long"] and row["image"]["bytes"]
        assert row["num_tokens_long"] == count_tokens(row["caption_long"])
        given = "long_source" if manifest.format == "vhm_json" else "short_source"
        assert row[given] == ("toy-model" if manifest.format == "vector_labels" else manifest.texts_from)
    assert survey(manifest, data_dir).images == NUM_USABLE + 1


def test_texts_that_were_published_are_taken_over_word_for_word(tmp_path: Path) -> None:
    MAKERS["millionaid"](tmp_path)
    build(BuildOptions(recipe="merge", source="millionaid", data_dir=tmp_path, out_dir=tmp_path / "out"), FakeModule())
    assert {(row["caption_short"], row["caption_long"]) for row in rows(tmp_path / "out")} == {
        ("an aerial view of a farm", LONG)
    }
