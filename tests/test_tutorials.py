"""The tutorials are run, line by line; the site of the documentation is whole; what ships passes its linters."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from PIL import Image

from lrs2m_builder import __version__
from lrs2m_builder.build.cluster import parse_cluster
from lrs2m_builder.stores.objects import ObjectStore
from tests.fake_endpoint import Handler, endpoint
from tests.fake_engine import good_text
from tests.in_process import lrs2m
from tests.object_server import Faults
from tests.tile_data import UTM, UTM_CRS, on_map, values_at, write_layer, write_scene
from tests.toy import ROOT, toy_options

BIN = Path(sys.executable).parent


def command_lines(page: str) -> list[list[str]]:
    """The words after `lrs2m` of each command line of a page."""
    lines = (ROOT / "docs" / page).read_text().splitlines()
    return [shlex.split(line)[1:] for line in lines if line.startswith("    lrs2m ")]


def write_ucm(folder: Path, num_images: int) -> None:
    """UCM-Captions in small: numbered pictures with five sentences each."""
    (folder / "imgs").mkdir(parents=True)
    sentences = ["There is a river with a bridge .", "A road crosses the river on a bridge ."] * 2 + ["A bridge ."]
    images = []
    for number in range(1, num_images + 1):
        Image.effect_noise((64, 64), number % 90 + 10).convert("RGB").save(folder / "imgs" / f"{number}.tif")
        captions = [{"raw": each, "tokens": each.split(), "imgid": number, "sentid": number * 5} for each in sentences]
        images.append({"filename": f"{number}.tif", "imgid": number, "split": "train", "sentences": captions})
    (folder / "dataset.json").write_text(json.dumps({"dataset": "UCM", "images": images}))


def answer(handler: Handler, body: dict[str, Any], number: int) -> None:
    handler.answer(body)


def test_the_tutorial_of_uc_merced_runs_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_ucm(tmp_path / "ucm", 70)
    monkeypatch.chdir(tmp_path)
    lines = [line for line in command_lines("tutorial-ucmerced.md") if line[0] != "view"]
    assert {line[0] for line in lines} == {"sources", "build", "stats", "audit", "export", "publish", "train"}
    with endpoint(answer) as server:
        for line in lines:
            engine = ["--engine", "openai", "--base-url", server.url, "--model", "toy-model"]
            extra = {"build": engine, "train": ["--set", "max_steps=1"]}.get(line[0], [])
            result = lrs2m(*line, *extra)
            assert result.code == 0, (line, result)
    assert (tmp_path / "run" / "model").is_dir()


def test_the_tutorial_of_a_map_runs_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = values_at(300, 300, "uint8")
    write_scene(tmp_path / "ortho.tif", values)
    squares = shapely.box(
        *(np.indices((4, 4)).reshape(2, -1) * 64 + 20), *(np.indices((4, 4)).reshape(2, -1) * 64 + 50)
    )
    on_ground = on_map(squares, UTM, UTM_CRS, "EPSG:4326")
    write_layer(tmp_path / "buildings.gpkg", on_ground, {"class": np.full(16, "building", object)})
    monkeypatch.chdir(tmp_path)
    lines = [line for line in command_lines("tutorial-map.md") if line[0] != "view"]
    assert [line[0] for line in lines].count("build") == 3 and "tile" in lines[0]
    with endpoint(name_buildings) as server:
        for line in lines:
            engine = ["--engine", "openai", "--base-url", server.url, "--model", "toy-model"]
            result = lrs2m(*line, *(engine if line[0] == "build" else []))
            assert result.code == 0, (line, result)
    records = pq.read_table(tmp_path / "records" / "records.parquet").to_pylist()
    assert len(records) == 4 and {"building" in row["caption_long"] for row in records} == {True}
    assert all(row["lon"] and row["split"] for row in records)
    assert pq.read_table(tmp_path / "items" / "items.parquet").num_rows == 4


def name_buildings(handler: Handler, body: dict[str, Any], number: int) -> None:
    """Answers with a text that names the anchors and gives no number."""
    text = good_text(body["seed"]).replace("car", "building").replace("harbor", "building").replace("airport", "road")
    is_summary = isinstance(body["messages"][-1]["content"], str)
    said = "Buildings stand in rows beside a narrow road." if is_summary else f"Buildings stand in rows. {text}"
    message = {"message": {"content": said}, "finish_reason": "stop"}
    handler.reply(200, {"choices": [message], "usage": {"prompt_tokens": 7, "completion_tokens": 80}})


def test_the_tutorial_of_a_cluster_runs_as_it_is_written(
    faults: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = ObjectStore("s3://bucket/pairs", scratch=tmp_path / "scratch", patience_s=5)
    store._call(lambda: store._s3.call_s3("create_bucket", Bucket="bucket"), "")
    lines = command_lines("tutorial-cluster.md")
    (replicated,) = [line for line in lines if "--replicas" in line]  # run by tests/test_replicas.py
    assert parse_cluster("2", None, 15, toy_options(Path("sample"), Path(replicated[-3]))) is not None
    with endpoint(answer) as server:
        for line in [line for line in lines if line is not replicated]:
            engine = ["--engine", "openai", "--base-url", server.url, "--model", "toy-model", "--check", "all=warn"]
            result = lrs2m(*line, *(engine if line[0] == "build" else []))
            assert result.code == 0, (line, result)
        assert len(server.seen) == 2 * 40, "the commands without --part asked nothing"
    in_bucket = {found.name: store.read(found.name) for found in store.files("data")}
    folder = tmp_path / "pairs"
    assert in_bucket == {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("data/*/*.parquet")}


def test_the_site_of_the_documentation_has_no_broken_link(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"} <= {
        path.name for path in tmp_path.iterdir()
    }


def test_the_site_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    loaded = re.findall(
        r'<(?:script|link|img)[^>]*(?:src|href)="(https?:[^"]*)"', (tmp_path / "index.html").read_text()
    )
    assert loaded == []


@pytest.mark.parametrize(
    "words",
    [("hadolint", "Dockerfile"), ("zizmor", "--offline", "--config", ".github/zizmor.yml", ".github/workflows")],
    ids=["Dockerfile", "workflows"],
)
def test_what_ships_passes_its_linter(words: tuple[str, ...]) -> None:
    linted = subprocess.run([BIN / words[0], *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_the_dockerfile_copies_all_that_the_wheel_is_made_of() -> None:
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    kept = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    needed = {"pyproject.toml", "README.md", "LICENSE", "NOTICE", "lrs2m_builder", *included}
    assert set(" ".join(copied).split()) == set(kept) == needed


def test_the_sdist_holds_tests_docs_and_the_program(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--sdist", "--installer", "uv", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (path,) = tmp_path.iterdir()
    assert path.name == f"lrs2m_builder-{__version__}.tar.gz"
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"pyproject.toml", "lrs2m_builder/cli.py", "recipes/merge.py", "docs/index.md", "tests/test_tutorials.py"}
    assert wanted <= names and not [name for name in names if name.startswith((".venv", ".git/"))]
