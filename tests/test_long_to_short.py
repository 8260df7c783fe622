"""Paradigm 2: VHM's long texts are read as a stream and summarised by a text-only step."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.run import build
from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.declared.shipped import shipped_names
from lrs2m_builder.errors import UserError
from lrs2m_builder.exchange import Completion
from lrs2m_builder.sources import open_source, read_samples
from lrs2m_builder.sources.vhm_json import read
from tests.fake_engine import FakeModule
from tests.toy import rows

LONG = "The image shows a dense residential area. Houses with red roofs line both sides of a road. Trees stand between."
MANIFESTS = {name: load_manifest(name) for name in shipped_names("manifests")}
VHM_SUBSETS = [name for name, manifest in MANIFESTS.items() if manifest.format == "vhm_json" and not manifest.join]


def entry(image: str, dataset: str, text: str = LONG) -> dict[str, Any]:
    turns = [{"from": "human", "value": "<image>\nDescribe."}, {"from": "gpt", "value": text}]
    return {"image": image, "source_dataset": dataset, "conversations": turns}


def write_vhm(folder: Path, entries: list[dict[str, Any]], *, image_folder: str | None = None) -> Path:
    """VHM's list and its images, each in the folder that the entry names or in another one."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "list_pretrain.json").write_text(json.dumps(entries))
    for item in entries:
        path = folder / (image_folder or item["source_dataset"]) / item["image"]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (24, 24), (90, 120, 60)).save(path)
    return folder


def build_short(folder: Path, out: Path, module: FakeModule, source: str = "loveda") -> Any:
    options = BuildOptions(recipe="long_to_short", source=source, data_dir=folder, out_dir=out, model="toy-model")
    return build(options, module)


def summary(request: Any) -> Completion:
    return Completion("Red-roofed houses stand along a road with trees.", "stop", 5, 9)


@pytest.mark.parametrize("name", VHM_SUBSETS)
def test_every_vhm_subset_builds_from_a_small_list(tmp_path: Path, name: str) -> None:
    dataset = load_manifest(name).options["source_dataset"][0]
    entries = [entry(f"{n}.jpg", dataset) for n in range(4)] + [entry("9.jpg", "SomethingElse")]
    report = build_short(write_vhm(tmp_path / "data", entries), tmp_path / "out", FakeModule(summary), name)
    assert (report.samples, report.records) == (4, 4)
    row = rows(tmp_path / "out")[0]
    assert row["caption_long"] == LONG and row["caption_short"].startswith("Red-roofed")
    assert (row["long_source"], row["short_source"]) == ("VHM", "toy-model")


def test_the_spelling_of_folders_may_vary(tmp_path: Path) -> None:
    folder = write_vhm(tmp_path, [entry("1.jpg", "love_da")], image_folder="LoveDA")
    (sample,) = read_samples(open_source(load_manifest("loveda"), folder))
    assert sample.image_path == folder / "LoveDA" / "1.jpg"
    assert sample.sample_id == "loveda/love_da/1.jpg"


def test_a_list_without_the_wanted_data_set_names_those_it_has(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no entries of LoveDA; it has CVUSA, fMoW"):
        open_source(load_manifest("loveda"), write_vhm(tmp_path, [entry("1.jpg", "CVUSA"), entry("2.jpg", "fMoW")]))


def test_no_image_is_opened_or_sent_before_the_last_answer(tmp_path: Path, files_opened: list[str]) -> None:
    folder = write_vhm(tmp_path / "data", [entry(f"{n}.jpg", "LoveDA") for n in range(12)])
    before_an_answer: list[str] = []

    def script(request: Any) -> Completion:
        before_an_answer.extend(path for path in files_opened if path.endswith(".jpg"))
        return summary(request)

    files_opened.clear()
    module = FakeModule(script)
    build_short(folder, tmp_path / "out", module)
    assert before_an_answer == []
    assert [path for path in files_opened if path.endswith(".jpg")], "the images were stored, so the watch works"
    assert {image for engine in module.engines for image in engine.images} == {None}
    assert {len(request.parts) for request in module.requests} == {1}


def test_twenty_words_are_enforced_with_the_count_in_the_re_ask(tmp_path: Path) -> None:
    long_answer = "A dense residential area where many houses with bright red roofs line both sides of a road "
    long_answer += "and trees grow between them ."

    def script(request: Any) -> Completion:
        return Completion(long_answer, "stop") if request.attempt == 1 else summary(request)

    module = FakeModule(script)
    build_short(write_vhm(tmp_path / "data", [entry("1.jpg", "LoveDA")]), tmp_path / "out", module)
    assert "The answer had 22 words. Write between 4 and 20 words." in module.requests[1].parts[0]
    assert rows(tmp_path / "out")[0]["attempts"] == 2


@pytest.mark.parametrize("text", ["Houses with red roofs line both sides of a road.", LONG])
def test_a_copied_sentence_is_no_summary(tmp_path: Path, text: str) -> None:
    folder = write_vhm(tmp_path / "data", [entry("1.jpg", "LoveDA")])
    report = build_short(folder, tmp_path / "out", FakeModule(lambda request: Completion(text, "stop")))
    assert report.rejections == {"copy": 1}


def test_a_truncated_image_is_a_rejection_though_no_model_sees_it(tmp_path: Path) -> None:
    folder = write_vhm(tmp_path / "data", [entry("1.jpg", "LoveDA"), entry("2.jpg", "LoveDA")])
    path = folder / "LoveDA" / "2.jpg"
    path.write_bytes(path.read_bytes()[:-20])
    report = build_short(folder, tmp_path / "out", FakeModule(summary))
    assert (report.records, report.rejections) == (1, {"image_truncated": 1})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"image": "1.jpg", "source_dataset": "LoveDA", ]', "not JSON"),
        ('[{"image": "1.jpg"', "not JSON"),
        ('[{"img": "1.jpg"}]', "entry 0"),
        ('[{"image": "1.jpg", "source_dataset": "LoveDA"}]', "entry 0 .1.jpg."),
        ("[]", "no entries"),
    ],
)
def test_a_broken_list_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "list_pretrain.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        list(read(path))
    assert "\n" not in str(caught.value)


def test_a_large_list_is_read_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "list_pretrain.json"
    with path.open("w") as file:
        file.write("[" + ",".join(json.dumps(entry(f"{n}.jpg", "LoveDA", LONG * 3)) for n in range(20_000)) + "]")
    tracemalloc.start()
    assert sum(1 for _ in read(path)) == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 8e6 and peak < 1e6
