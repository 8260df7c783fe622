"""What a careful reader broke once stays mended."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from lrs2m_builder import checks
from lrs2m_builder.build import shards
from lrs2m_builder.engines._model_files import find_model
from lrs2m_builder.engines._options import check_options
from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.exchange import Completion
from lrs2m_builder.images.load import decode, load_stored
from tests.fake_engine import FakeModule, good_text
from tests.test_checks import make_answer
from tests.toy import ROOT, build_toy, ids, make_source, rows, start_cli

CHECKS = [value for value in vars(checks).values() if isinstance(value, checks.Check)]


def good(request: Any) -> Completion:
    return Completion(good_text(request.seed), "stop")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_looping_answer_does_not_hang_a_check(check: checks.Check) -> None:
    """Every word of the patterns, said eighty times: a pattern that backtracks would not come back."""
    source = "".join(path.read_text() for path in (ROOT / "lrs2m_builder" / "checks").rglob("*.py"))
    for word in sorted(set(re.findall(r"[a-z]{3,}", source))):
        check.find(make_answer(f"The scene shows the {f'{word} ' * 80}roof."))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_engine_starts_exits_130_at_once(tmp_path: Path, number: signal.Signals) -> None:
    """The engine swallows KeyboardInterrupt while it starts, as vLLM does."""
    script = (
        "import sys, time; from lrs2m_builder import cli, engines\n"
        "from tests.fake_engine import FakeModule\n"
        "class Slow(FakeModule):\n"
        "    def load(self, *arguments):\n"
        "        print('loading', flush=True)\n"
        "        while True:\n"
        "            try: time.sleep(60)\n"
        "            except KeyboardInterrupt: pass\n"
        "engines.engine_module = lambda name: Slow()\n"
        "cli.main()"
    )
    source = make_source(tmp_path / "source", 3)
    command = [sys.executable, "-c", script, "build", "--recipe", "short_to_long", "--source", str(source)]
    command += ["--data-dir", str(source.parent), "--out", str(tmp_path / "out"), "--model", "toy"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "run the same command to resume" in out


def test_settings_may_change_while_nothing_was_asked(tmp_path: Path) -> None:
    source = make_source(tmp_path, 3)

    class Refuses(FakeModule):
        def load(self, *arguments: Any) -> Any:
            raise UserError("no such option")

    with pytest.raises(UserError, match="no such option"):
        build_toy(source, tmp_path / "out", Refuses(), engine_options={"foo": 1})
    assert build_toy(source, tmp_path / "out", FakeModule(good)).records == 3


def test_a_changed_check_is_named_in_the_refusal(tmp_path: Path) -> None:
    source = make_source(tmp_path, 3)
    build_toy(source, tmp_path / "out", checks={"all": "warn"})
    with pytest.raises(UserError, match=r"checks\[0\]\.word_range was warn, now error"):
        build_toy(source, tmp_path / "out", checks={"all": "warn", "word_range": "error"})


def test_a_dry_run_refuses_what_the_build_would_refuse(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", 3)
    build_toy(source, tmp_path / "out", engine="fake")
    process = start_cli(source, tmp_path / "out", "--dry-run", "--seed", "5", log=tmp_path / "log")
    _, error = process.communicate(timeout=60)
    assert process.returncode == 2 and "seed was 0, now 5" in error


def test_the_engines_shutdown_is_no_part_of_the_speed(tmp_path: Path) -> None:
    class SlowToClose(FakeModule):
        def load(self, *arguments: Any) -> Any:
            engine = super().load(*arguments)
            engine.close = lambda: time.sleep(2)  # type: ignore[method-assign]
            return engine

    report = build_toy(make_source(tmp_path, 3), tmp_path / "out", SlowToClose(good))
    assert report.run["seconds"] < 2
    again = build_toy(tmp_path / "toy.yaml", tmp_path / "out")
    assert again.run == report.run, "a rerun with nothing to do forgot the speed"


def test_an_image_gone_before_the_shard_is_written_keeps_its_answers(tmp_path: Path) -> None:
    source = make_source(tmp_path, 3)

    def script(request: Any) -> Completion:
        (tmp_path / "imgs" / "1.jpg").unlink(missing_ok=True)
        return good(request)

    report = build_toy(source, tmp_path / "out", FakeModule(script, delay_s=0.2))
    assert report.rejections == {"image_missing": 1}
    (row,) = rows(tmp_path / "out", "rejected")
    assert len(row["attempts"]) == 1


def test_a_retry_with_the_image_gone_keeps_the_answers(tmp_path: Path) -> None:
    source = make_source(tmp_path, 2)
    build_toy(source, tmp_path / "out", FakeModule(lambda request: Completion("Sorry.", "stop")))
    (tmp_path / "imgs" / "0.jpg").unlink()
    build_toy(source, tmp_path / "out", FakeModule(good), retry_rejected=True)
    (row,) = rows(tmp_path / "out", "rejected")
    assert (row["reason"], len(row["attempts"])) == ("image_missing", 3)


def test_large_images_make_smaller_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "BYTES_PER_GROUP", 3000)
    build_toy(make_source(tmp_path, 30), tmp_path / "out", FakeModule(good), shard_size=30)
    metadata = pq.read_metadata(next((tmp_path / "out" / "data").rglob("*.parquet")))
    assert metadata.num_row_groups > 3 and metadata.num_rows == 30
    assert ids(tmp_path / "out") == [f"toy/{n}.jpg#0" for n in range(30)]


@pytest.mark.parametrize("kind", ["AVIF", "DDS"])
def test_a_damaged_file_of_a_rarer_format_is_one_rejection(tmp_path: Path, kind: str) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 40).convert("RGB").save(buffer, format=kind)
    for cut in range(20, len(buffer.getvalue()), 97):
        path = tmp_path / f"{cut}.img"
        path.write_bytes(buffer.getvalue()[:cut] + b"\xff" * 64)
        for load in (decode, load_stored):
            try:
                load(path)
            except SampleError as error:
                assert error.reason.startswith("image_")


def test_a_file_that_points_to_another_is_no_image(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "other.tif")
    vrt = (
        '<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f"<SourceFilename>{tmp_path / 'other.tif'}</SourceFilename><SourceBand>1</SourceBand>"
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    (tmp_path / "1.jpg").write_text(vrt)
    with pytest.raises(SampleError, match="image_unreadable"):
        decode(tmp_path / "1.jpg")


def test_two_checkpoints_have_two_revisions(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    weights = bytearray(4 * 2**20)
    revisions = set()
    for value in (0, 1):
        weights[2 * 2**20] = value
        (tmp_path / "model.safetensors").write_bytes(weights)
        revisions.add(find_model(str(tmp_path)).revision)
    assert len(revisions) == 2


def test_an_option_that_must_be_a_positive_number_is_one() -> None:
    for value in ("abc", -1, 0, True):
        with pytest.raises(UserError, match="must be a positive number"):
            check_options({"max_pixels": value}, {"max_pixels": "positive"})


def test_a_name_no_file_can_have_costs_its_row_alone(tmp_path: Path) -> None:
    source = make_source(tmp_path, 2)
    content = json.loads((tmp_path / "dataset.json").read_text())
    content["images"][1]["filename"] = "\ud800.jpg"
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    report = build_toy(source, tmp_path / "out")
    assert (report.samples, report.rejections) == (2, {"bad_name": 1})


def test_a_closed_pipe_is_no_traceback() -> None:
    command = f"{sys.executable} -m lrs2m_builder.cli sources ucmerced --json"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    for redirection in ("| true", ">&-", "> /dev/full"):
        line = f"{command} {redirection}"
        result = subprocess.run(line, shell=True, capture_output=True, text=True, env=environment, check=False)
        assert "Traceback" not in result.stderr, (redirection, result.stderr)


@pytest.mark.parametrize("redirection", ["2>&-", "2> >(true)", ">&- 2>&-"])
def test_a_build_whose_messages_nobody_reads_is_finished(tmp_path: Path, redirection: str) -> None:
    source = make_source(tmp_path / "source", 20)
    words = f"--recipe short_to_long --source {source} --data-dir {source.parent} --model m --check hint_missing=off"
    line = f"{sys.executable} -m tests.fake_engine build {words} --out {tmp_path / 'out'} {redirection}"
    environment = {**os.environ, "LRS2M_FAKE_LOG": str(tmp_path / "log"), "LRS2M_FAKE_DELAY_S": "0.05"}
    result = subprocess.run(["bash", "-c", line], env=environment, cwd=ROOT, check=False)
    assert result.returncode == 0
    assert len(ids(tmp_path / "out")) + len(ids(tmp_path / "out", "rejected")) == 20


def test_the_demo_overwrites_nothing_of_the_users(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    from lrs2m_builder.sample.demo import demo

    (tmp_path / "drawn.yaml").write_text("mine")
    with pytest.raises(UserError, match="holds files that lrs2m demo did not make, such as drawn"):
        demo(tmp_path)
    assert (tmp_path / "drawn.yaml").read_text() == "mine"
