"""A new evaluation, format, recipe, engine, export and check is one file each: put into a copy, each does its work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from tests.toy import ROOT, make_source

EVALUATION = '''
"""Evaluate luck.

Example:
    lrs2m eval toy game.coins --model clip-b16
"""

from typing import Annotated

import typer

from lrs2m_builder.evals.record import Evaluation, Prepared, Test


def _prepare(
    data: Annotated[str, typer.Argument(metavar="FILE", help="Coins.")],
    right: Annotated[str, typer.Option(metavar="SIDE", help="The side that counts.")] = "head",
) -> Prepared:
    with open(data) as file:
        coins = file.read().split()
    return Prepared(
        dataset="game",
        num_images=1,
        num_texts=len(coins),
        settings={"right": right},
        measure=lambda loaded, run: ({"luck": coins.count(right) / len(coins)}, {}),
    )


EVALUATION = Evaluation(
    name="toy",
    title="A toy",
    abbreviation="TOY",
    help=__doc__,
    prepare=_prepare,
    find=lambda data: [Test("toy", data, "game")] if data.endswith(".coins") else [],
    data="a file of coins",
    metrics={"luck": "luck"},
    head="luck",
    texts="coins",
)
'''
FORMAT = '''
"""A line per image: its name, a short and a long text, with bars between them."""

from lrs2m_builder import SourceRow


def read(path):
    for line in path.read_text().splitlines():
        name, short, long = line.split("|")
        yield SourceRow(name, captions=(short,), caption_long=long)
'''
RECIPE = '''
"""One sentence of the toy engine."""

from lrs2m_builder import Recipe, Step
from lrs2m_builder.checks import EMPTY, TOY_WORD

STEP = Step(
    prompt="toy.v1",
    role="mllm",
    writes="caption_short",
    variables=lambda sample, manifest: {},
    checks=(EMPTY, TOY_WORD),
)
RECIPE = Recipe(name="toy", version=1, reads=("captions",), given=(), steps=(STEP,))
'''
ENGINE = '''
"""An engine that says what it was asked."""

from lrs2m_builder import Completion

PERFORMANCE_OPTIONS = set()
FOLLOWS_SCHEMAS = False


class Toy:
    name, revision, max_in_flight = "toy", "1", 2

    def __init__(self, model):
        self.model = model

    def image_size(self, width, height):
        return width, height

    async def generate(self, request, image):
        return Completion(f"A toy answers: {request.parts[0].strip()}", "stop")

    def stop_waiting(self):
        pass

    async def finish(self):
        pass

    def close(self):
        pass

    def prove(self, request):
        return []


def find(model, options):
    return model, "1"


def check(model, role, options, samplings=()):
    pass


def load(model, role, options, samplings=()):
    return Toy(model)


def preview(model, role, options):
    return Toy(model)
'''
EXPORT = '''
"""One line per row."""

IMAGES = ("reference",)


def write(rows, folder, options):
    (folder / "toys.txt").write_text("".join(f"{row['sample_id']}: {row['caption_short']}\\n" for row in rows))
'''
CHECK = '''
"""Check that a text speaks of no toy."""

from lrs2m_builder.checks.base import Check

TOY_WORD = Check("toy_word", lambda answer: "It speaks of a toy." if "toy" in answer.text else None)
'''
FILES = {
    "lrs2m_builder/evals/members/toy.py": EVALUATION,
    "lrs2m_builder/sources/toy.py": FORMAT,
    "recipes/toy.py": RECIPE,
    "prompts/toy.v1.jinja": "Say what you see.\n{{ image }}\n",
    "lrs2m_builder/engines/toy.py": ENGINE,
    "lrs2m_builder/dataset/export/toy.py": EXPORT,
    "lrs2m_builder/checks/toy_word.py": CHECK,
}
USE = """
import json, sys
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
import lrs2m_builder
assert Path(lrs2m_builder.__file__).is_relative_to(Path.cwd())
from lrs2m_builder.commands import eval
from lrs2m_builder.evals.publish_model import make_model_card, make_tables
from lrs2m_builder.evals.results import read_results
from lrs2m_builder.experiments.registry import Experiment, Variant
from lrs2m_builder.experiments.table import make_table, markdown
from tests.in_process import lrs2m

eval.load_model = lambda name, **options: SimpleNamespace(revision="1", context_length=77)  # torch takes seconds
done = {name: asdict(lrs2m(*words)) for name, words in json.loads(sys.argv[1]).items()}
experiment = Experiment("table_xi", "Luck", "model", (Variant("mine", model="mine"),), ("toy",))
table = make_table(experiment, "paper", {"mine": [Path("luck")]}, {"toy": ("game",)})
towers = SimpleNamespace(vision_config=defaultdict(int), text_config=defaultdict(int))
card = make_model_card("me/toy", towers, None, list(make_tables(read_results(Path("luck")), "1", "me/toy")), [], None)
assert "torch" not in sys.modules
print(json.dumps({**done, "table": markdown(table), "card": card}))
"""
BUILD = ("build", "--source", "data/toy.yaml", "--data-dir", "data", "--model", "m")
COMMANDS = {
    "eval": ("eval", "--help"),
    "eval toy": ("eval", "toy", "game.coins", "--right", "tail", "--model", "model", "--out", "luck"),
    "eval all": ("eval", "all", "game.coins", "--model", "model", "--out", "report"),
    "eval all of nothing": ("eval", "all", "recipes", "--model", "model", "--out", "none"),
    "build": (*BUILD, "--recipe", "toy", "--engine", "toy", "--check", "toy_word=warn", "--out", "built"),
    "rejecting": (*BUILD, "--recipe", "merge", "--check", "toy_word=error", "--out", "merged"),
    "no recipe": (*BUILD, "--recipe", "other", "--out", "none"),
    "no engine": (*BUILD, "--recipe", "toy", "--engine", "other", "--out", "none"),
    "no check": (*BUILD, "--recipe", "merge", "--check", "other=warn", "--out", "none"),
    "no format": ("build", "--source", "data/other.yaml", "--data-dir", "data", "--recipe", "merge", "--out", "none"),
    "export": ("export", "built", "exported", "--to", "toy"),
    "no export": ("export", "built", "none", "--to", "other"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the new files, and small data."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("lrs2m_builder", "recipes", "prompts", "manifests"):
        shutil.copytree(ROOT / name, folder / name)  # with what Python compiled of it, which takes seconds
    for name, text in FILES.items():
        assert not (folder / name).exists()
        (folder / name).write_text(text.lstrip(), encoding="utf-8")
    manifest = make_source(folder / "data", 2)
    facts = yaml.safe_load(manifest.read_text()) | {"rows": "image"}
    facts["files"]["annotations"] = ["toys.txt"]
    for name in ("toy", "other"):
        (folder / "data" / f"{name}.yaml").write_text(yaml.safe_dump(facts | {"format": name}))
    (folder / "data" / "toys.txt").write_text("0.jpg|a toy|a long toy\n1.jpg|a field|a long field\n")
    (folder / "game.coins").write_text("head tail tail tail")
    return folder


@pytest.fixture(scope="module")
def done(folder: Path) -> dict[str, Any]:
    """What each command came to, all of them run in one process."""
    path = os.pathsep.join([str(folder), str(ROOT)])
    command = [sys.executable, "-c", USE, json.dumps(COMMANDS)]
    environment = os.environ | {"PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}
    made = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    results: dict[str, Any] = json.loads(made.stdout.splitlines()[-1])
    return results


@pytest.mark.parametrize(
    ("command", "listed"),
    [
        ("eval", "  toy      Evaluate luck."),
        ("eval all of nothing", "AIR-SLT's anno.json, a file of coins, or a folder of these"),
        ("no recipe", "short_to_long, toy, vector_anchored"),
        ("no engine", "openai, openai-batch, toy, transformers, vllm"),
        ("no check", "title, toy_word, unsupported_object"),
        ("no format", "tiles, toy, vector_labels"),
        ("no export", "stac, toy, webdataset"),
    ],
)
def test_a_new_file_is_listed(command: str, listed: str, done: dict[str, Any]) -> None:
    assert listed in done[command]["out"] + done[command]["err"]


def test_a_new_evaluation_has_its_command_and_its_own_options(done: dict[str, Any], folder: Path) -> None:
    assert done["eval toy"]["code"] == 0
    assert "1 images, 4 coins\nluck 75.00" in done["eval toy"]["out"]
    (path,) = (folder / "luck").glob("toy_game_model.json")
    result = json.loads(path.read_text())
    assert result["metrics"] == {"luck": 0.75} and result["settings"]["right"] == "tail"
    assert result["settings"]["leakage"]["leaked"] == 0


def test_a_new_evaluation_is_part_of_the_report_the_table_and_the_card(done: dict[str, Any], folder: Path) -> None:
    page = (folder / "report" / "report.html").read_text(encoding="utf-8")
    assert "A toy (TOY)" in page and "TOY luck, game" in page and "1 images, 4 coins" in page
    assert json.loads((folder / "report" / "report.json").read_text())["tests"][0]["metrics"] == {"luck": 0.25}
    assert "| mine | 75.00 | - |" in done["table"]
    assert "A toy" in done["card"] and "| **me/toy** | game | 75.0" in done["card"]


def test_a_new_recipe_reads_a_new_format_and_asks_a_new_engine_and_check(done: dict[str, Any], folder: Path) -> None:
    assert done["build"]["code"] == 0
    (path,) = (folder / "built" / "data").rglob("*.parquet")
    rows = pq.read_table(path).to_pylist()
    assert [row["sample_id"] for row in rows] == ["toy/0.jpg", "toy/1.jpg"]
    assert {row["caption_short"] for row in rows} == {"A toy answers: Say what you see."}
    assert all((row["engine"], row["recipe"], row["warnings"]) for row in rows)
    assert rows[0]["warnings"] == ["toy_word: It speaks of a toy."]


def test_a_new_check_joins_a_recipe_that_does_not_have_it(done: dict[str, Any], folder: Path) -> None:
    assert done["rejecting"]["code"] == 0
    (path,) = (folder / "merged" / "rejected").rglob("*.parquet")
    assert [(row["sample_id"], row["reason"]) for row in pq.read_table(path).to_pylist()] == [("toy/0.jpg", "toy_word")]


def test_a_new_export_writes_the_rows(done: dict[str, Any], folder: Path) -> None:
    assert done["export"]["code"] == 0
    lines = (folder / "exported" / "toys.txt").read_text().splitlines()
    assert lines == [f"toy/{number}.jpg: A toy answers: Say what you see." for number in range(2)]
