"""Several long texts per image (`--texts`): each is checked, retried and kept by itself, the image is stored once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.plan import JUDGE, make_plan
from lrs2m_builder.build.stages import next_move, open_moves
from lrs2m_builder.dataset.audit.consistency import check_records
from lrs2m_builder.dataset.tables import record_files
from lrs2m_builder.engines._base import ENDPOINT_FAILED
from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.evals.data import Columns, read_images
from lrs2m_builder.evals.members._retrieval import LONG_COLUMNS
from lrs2m_builder.exchange import Attempt, Completion, Request
from lrs2m_builder.schema import Record, Sample
from lrs2m_builder.train.index import read_index
from lrs2m_builder.train.loading import BatchRows, ReadSettings
from lrs2m_builder.verify.decide import VerifySettings
from tests.fake_engine import FakeModule, good_text
from tests.in_process import lrs2m
from tests.toy import ROOT, build_toy, make_source, rows

K = 5


def shards(out: Path) -> dict[str, bytes]:
    paths = [path for kind in ("data", "rejected") for path in sorted((out / kind).rglob("*.parquet"))]
    return {str(path.relative_to(out)): path.read_bytes() for path in paths}


def test_an_image_has_as_many_different_texts_as_asked_for_and_is_stored_once(tmp_path: Path) -> None:
    source = make_source(tmp_path, 12)
    module = FakeModule()
    report = build_toy(source, tmp_path / "out", module, texts=K, max_attempts=8)
    assert report.records == 12
    for row in rows(tmp_path / "out"):
        assert len(set(row["captions_long"])) == K
        assert row["captions_long"][0] == row["caption_long"]
        origins = row["captions_long_origin"]
        assert len({origin["seed"] for origin in origins}) == K
        assert origins[0]["num_tokens"] == row["num_tokens_long"] and origins[0]["seed"] == row["seed"]
    assert len({request.seed for request in module.requests}) == len(module.requests)


def test_the_first_text_is_that_of_a_build_of_one_text(tmp_path: Path) -> None:
    source = make_source(tmp_path, 6)
    build_toy(source, tmp_path / "one")
    build_toy(source, tmp_path / "five", texts=K)
    firsts = {row["sample_id"]: row["caption_long"] for row in rows(tmp_path / "five")}
    for row in rows(tmp_path / "one"):
        assert row["captions_long"] is None and row["captions_long_origin"] is None
        assert firsts[row["sample_id"]] == row["caption_long"]
    assert "texts" not in json.loads((tmp_path / "one" / "build.json").read_text())["settings"]


def test_a_killed_build_of_several_texts_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    source = make_source(tmp_path, 24)
    build_toy(source, tmp_path / "whole", texts=K)
    log = tmp_path / "log"
    environment = {**os.environ, "LRS2M_FAKE_LOG": str(log), "LRS2M_FAKE_DELAY_S": "0.02", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.fake_engine", "build", "--recipe", "short_to_long", "--source", str(source)]
    command += ["--data-dir", str(tmp_path), "--out", str(tmp_path / "out"), "--engine", "fake", "--model", "toy-model"]
    command += ["--shard-size", "10", "--texts", str(K)]
    for num_asked in (15, 60):
        with subprocess.Popen(
            command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        ) as process:
            deadline = time.monotonic() + 100
            while time.monotonic() < deadline and not (log.exists() and len(log.read_text().splitlines()) >= num_asked):
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
    subprocess.run(command, env={**environment, "LRS2M_FAKE_DELAY_S": "0"}, check=True, capture_output=True)
    assert shards(tmp_path / "out") == shards(tmp_path / "whole")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of three texts per image."""
    folder = tmp_path_factory.mktemp("built")
    build_toy(make_source(folder, 6), folder / "out", texts=3, max_attempts=8)
    return folder / "out"


def test_datasets_and_pandas_read_the_list(built: Path) -> None:
    from datasets import load_dataset

    files = str(built / "data" / "toy" / "*.parquet")
    loaded = load_dataset("parquet", data_files=files, split="train", cache_dir=str(built.parent / "cache"))
    assert [len(row["captions_long"]) for row in loaded] == [3] * 6
    frame = pd.read_parquet(built / "data" / "toy")
    assert frame["captions_long"].map(len).tolist() == [3] * 6


def test_stats_and_exports_see_all_texts(built: Path, tmp_path: Path) -> None:
    assert "long texts: 18, of which" in lrs2m("stats", built).out
    assert lrs2m("export", built, tmp_path / "json", "--to", "json").code == 0
    records = json.loads((tmp_path / "json" / "records.json").read_text())
    assert all(len(record["captions_long"]) == len(record["captions_long_origin"]) == 3 for record in records)
    assert lrs2m("export", built, tmp_path / "csv", "--to", "csv").code == 0
    lines = (tmp_path / "csv" / "train.csv").read_text().splitlines()
    assert len(lines) == 1 + 6 * (3 + 1)
    assert lrs2m("export", built, tmp_path / "short", "--to", "json", "--text", "short").code == 0
    assert "captions_long" not in (tmp_path / "short" / "records.json").read_text()


def test_the_audit_checks_every_text(tmp_path: Path) -> None:
    def loops(request: Request) -> str:
        return good_text(request.seed) + (" The tall roofs are gray." * 12 if request.text_number == 1 else "")

    build_toy(make_source(tmp_path, 2), tmp_path / "out", script(loops), texts=2, checks={"all": "off"})
    found = {(each.check, each.column): each.records for each in check_records(record_files(tmp_path / "out"))}
    assert found["repetition", "captions_long"] == 2 and ("repetition", "caption_long") not in found


def test_training_reads_another_text_in_each_epoch_and_evaluations_all(built: Path) -> None:
    index = read_index([built], ["caption_long", "caption_short"])
    texts = {row["sample_id"]: row["captions_long"] for row in rows(built)}
    chosen = []
    for epoch in (0, 1, 2, 0):
        reader = BatchRows(index, None, ReadSettings("both", None, None, 32), (7, epoch))  # type: ignore[arg-type]
        read = [reader._read_rows(index.group_of(number), np.array([number]))[number] for number in range(6)]
        chosen.append([row["caption_long"] for row in read])
    assert chosen[0] == chosen[3]
    for number, of_row in enumerate(zip(*chosen[:3], strict=True)):
        assert sorted(of_row) == sorted(list(texts.values())[number])
    images = read_images(str(built), Columns(texts=LONG_COLUMNS))
    assert [len(image.texts) for image in images] == [3] * 6


def script(answer: Callable[[Request], str]) -> FakeModule:
    return FakeModule(lambda request: Completion(answer(request), "stop", 10, 20))


def test_a_sample_is_rejected_only_if_no_text_passes(tmp_path: Path) -> None:
    source = make_source(tmp_path, 3)

    def refuses(request: Request) -> str:
        passes = request.text_number in {1: {0, 3}, 2: set()}.get(int(request.sample_id[4]), set(range(K)))
        return good_text(request.seed) if passes else "I'm sorry, but I cannot help with that."

    report = build_toy(source, tmp_path / "out", script(refuses), texts=K, max_attempts=2)
    assert (report.records, report.rejections) == (2, {"refusal": 1})
    whole, part = rows(tmp_path / "out")
    assert len(whole["captions_long"]) == K and len(part["captions_long"]) == 2
    named = [warning.split(": ")[:2] for warning in part["warnings"] if warning.startswith("text_rejected")]
    assert named == [["text_rejected", f"text {number}"] for number in (2, 3, 5)]
    (rejected,) = rows(tmp_path / "out", "rejected")
    assert sorted(each["text_number"] for each in rejected["attempts"]) == sorted([*range(K)] * 2)


def test_a_text_that_repeats_another_is_asked_again_warmer(tmp_path: Path) -> None:
    source = make_source(tmp_path, 1)
    module = script(lambda request: good_text(1 if request.attempt == 1 else request.seed))
    build_toy(source, tmp_path / "out", module, texts=3)
    (row,) = rows(tmp_path / "out")
    assert len(set(row["captions_long"])) == 3
    assert [origin["attempts"] for origin in row["captions_long_origin"]] == [1, 2, 2]
    again = [request for request in module.requests if request.attempt == 2]
    assert all(request.sampling["temperature"] > 0.8 for request in again)
    assert all("same text was given" in request.parts[-1] for request in again)


def test_an_endpoint_that_failed_for_one_text_is_asked_for_that_text_alone(tmp_path: Path) -> None:
    source = make_source(tmp_path, 1)

    def fails(request: Request) -> str:
        if request.text_number == 2:
            raise SampleError(ENDPOINT_FAILED, "gone")
        return good_text(request.seed)

    assert build_toy(source, tmp_path / "out", script(fails), texts=3).rejections == {ENDPOINT_FAILED: 1}
    module = script(lambda request: good_text(request.seed))
    assert build_toy(source, tmp_path / "out", module, texts=3).records == 1
    assert [request.text_number for request in module.requests] == [2]


def write_recipe(folder: Path, *, other: bool = True) -> Path:
    """A recipe of two models: the image's long text, by two prompts in turn, then its summary."""
    (folder / "a.v1.jinja").write_text("Describe it.\n{{ image }}\n{{ problem }}")
    (folder / "b.v1.jinja").write_text("Say what is seen.\n{{ image }}\n{{ problem }}")
    (folder / "s.v1.jinja").write_text("Summarise: {{ caption_long }} {{ problem }}")
    path = folder / "own.py"
    others = 'other_prompts=("b.v1",),' if other else ""
    path.write_text(f"""from lrs2m_builder import Recipe, Step
from lrs2m_builder.checks import word_range

RECIPE = Recipe(name="own", version=1, reads=(), given=(), steps=(
    Step(prompt="a.v1", role="mllm", writes="caption_long", variables=lambda sample, manifest: {{}},
         checks=(word_range(20, 200),), sampling={{"temperature": 0.5}}, {others}),
    Step(prompt="s.v1", role="llm", writes="caption_short", variables=lambda sample, manifest: {{}},
         checks=(word_range(3, 30),), sampling={{"temperature": 0.5}}),
))
""")
    return path


def long_or_short(request: Request) -> str:
    return good_text(request.seed) if request.role == "mllm" else "A road and a river are seen."


def test_the_prompts_of_a_step_are_used_in_turn_and_the_summary_is_of_the_first_text(tmp_path: Path) -> None:
    source, recipe = make_source(tmp_path, 2), write_recipe(tmp_path)
    module = script(long_or_short)
    build_toy(source, tmp_path / "out", module, recipe=str(recipe), texts=3)
    for row in rows(tmp_path / "out"):
        assert [origin["prompt"] for origin in row["captions_long_origin"]] == ["a.v1", "b.v1", "a.v1"]
        assert [prompt["name"] for prompt in row["prompts"]] == ["a.v1", "b.v1", "s.v1"]
        (summary,) = [each for each in module.requests if each.role == "llm" and each.sample_id == row["sample_id"]]
        assert row["caption_long"] in summary.parts[0]


def plan_of(tmp_path: Path, **changes: Any) -> Any:
    source, recipe = make_source(tmp_path, 1), write_recipe(tmp_path)
    options = BuildOptions(recipe=str(recipe), source=str(source), data_dir=tmp_path, out_dir=tmp_path, **changes)
    return replace(make_plan(options), models=(("m", "1"), ("n", "1")))


def test_every_text_takes_a_step_before_another_model_is_needed(tmp_path: Path) -> None:
    plan, sample = plan_of(tmp_path, texts=3), Sample("toy/1", "toy", "1.jpg", tmp_path / "imgs" / "0.jpg")
    plan = replace(plan, verify=VerifySettings("ask", {}, ("judge", "1")))
    attempts: list[Attempt] = []
    while isinstance(move := next_move(plan, sample, attempts, able={0}), Request):
        attempts.append(Attempt.answered(move, Completion(good_text(move.seed), "stop")))
    assert [attempt.text_number for attempt in attempts] == [0, 1, 2]
    assert len(open_moves(plan, sample, attempts)) == 3
    assert next_move(plan, sample, attempts, able={JUDGE}) == move


def test_a_summary_that_fails_is_made_of_the_next_text(tmp_path: Path) -> None:
    plan, sample = plan_of(tmp_path, texts=2, max_attempts=1), Sample("toy/1", "toy", "1.jpg", tmp_path)
    attempts: list[Attempt] = []
    while isinstance(move := next_move(plan, sample, attempts), Request):
        fails = move.role == "llm" and move.text_number == 0
        attempts.append(Attempt.answered(move, Completion("No." if fails else long_or_short(move), "stop")))
    assert isinstance(move, Record) and move.captions_long == (move.caption_long,)
    assert move.captions_long_origin is not None and move.captions_long_origin[0].seed == attempts[1].seed
    assert any(warning.startswith("text_rejected: text 1: ") for warning in move.warnings)


@pytest.mark.parametrize(
    ("recipe", "sampling", "message"),
    [
        ("merge", {}, "recipe merge asks no model for a long text"),
        ("long_to_short", {}, "recipe long_to_short asks no model for a long text"),
        ("short_to_long", {"temperature": 0}, "at temperature 0 a prompt has one answer"),
    ],
)
def test_texts_that_would_be_one_are_refused(recipe: str, sampling: Any, message: str, tmp_path: Path) -> None:
    source = make_source(tmp_path, 1)
    with pytest.raises(UserError, match=message):
        build_toy(source, tmp_path / "out", recipe=recipe, sampling=sampling, texts=2)


def test_the_answers_of_a_rejected_text_are_retried_with_the_rejected(tmp_path: Path) -> None:
    source = make_source(tmp_path, 1)
    refused = "I'm sorry, but I cannot help with that."
    assert not build_toy(source, tmp_path / "out", script(lambda _: refused), texts=2, max_attempts=1).records
    good = script(lambda request: good_text(request.seed))
    build_toy(source, tmp_path / "out", good, texts=2, max_attempts=1, retry_rejected=True)
    (row,) = rows(tmp_path / "out")
    assert [origin["attempts"] for origin in row["captions_long_origin"]] == [2, 2] and len(good.requests) == 2
