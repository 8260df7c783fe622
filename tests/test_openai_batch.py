"""Batches of an endpoint: nothing is lost and nothing is paid for twice, whatever becomes of batch or build."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lrs2m_builder.build import Report, build
from lrs2m_builder.engines import engine_module
from lrs2m_builder.engines._base import EngineStoppedError
from lrs2m_builder.errors import UserError
from tests.batch_server import BatchServer, Line, answered, batch_server, expired
from tests.in_process import lrs2m
from tests.toy import ROOT, file_bytes, ids, make_source, rows, toy_options

QUICK = {"gather_s": 0.3, "poll_s": 0.05, "timeout_s": 5, "wait_s": 2}


def run(server: BatchServer, source: Path, out: Path, **options: Any) -> Report:
    settings = {"base_url": server.url, **QUICK, **options}
    chosen = toy_options(source, out, engine="openai-batch", engine_options=settings)
    return build(chosen, engine_module("openai-batch"))


def command(server: BatchServer, source: Path, out: Path, *more: str) -> list[str]:
    words = ["build", "--recipe", "short_to_long", "--source", str(source), "--data-dir", str(source.parent)]
    words += ["--out", str(out), "--model", "toy-model", "--engine", "openai-batch", "--base-url", server.url]
    words += [word for key, value in QUICK.items() for word in ("--engine-option", f"{key}={value}")]
    return [*words, "--shard-size", "10", *more]


def test_a_build_by_batches_gives_the_rows_of_its_answers(tmp_path: Path) -> None:
    source = make_source(tmp_path, 25)
    with batch_server() as server:
        report = run(server, source, tmp_path / "out")
    assert (report.records, server.sizes) == (25, [25])
    assert len(ids(tmp_path / "out")) == 25 and rows(tmp_path / "out")[0]["engine"] == "openai-batch"
    assert not (tmp_path / "out" / "batches").exists()


def test_limits_on_requests_and_bytes_cut_a_build_into_several_batches(tmp_path: Path) -> None:
    source = make_source(tmp_path, 25)
    with batch_server() as server:
        run(server, source, tmp_path / "few", batch_requests=10)
        assert server.sizes == [10, 10, 5]
    with batch_server() as server:
        run(server, source, tmp_path / "small", batch_mb=0.02)
        assert sum(server.sizes) == 25 and len(server.sizes) > 2
        assert max(len(content) for name, content in server.files.items() if name.startswith("file-")) <= 20_000


def test_a_full_window_is_sent_at_once(tmp_path: Path) -> None:
    with batch_server() as server:
        report = run(server, make_source(tmp_path, 24), tmp_path / "out", max_waiting=8, gather_s=60)
    assert (report.records, server.sizes) == (24, [8, 8, 8])


def test_a_second_attempt_goes_into_the_next_batch(tmp_path: Path) -> None:
    def refuse_first(number: int, lines: list[Line]) -> tuple[str, list[Line], list[Line]]:
        answers = [answered(line) for line in lines]
        if number == 0:
            answers[3]["response"]["body"]["choices"][0]["message"]["content"] = "I'm sorry, I cannot help with that."
        return "completed", answers, []

    with batch_server() as server:
        server.end = refuse_first
        report = run(server, make_source(tmp_path, 12), tmp_path / "out")
    assert (report.records, server.sizes) == (12, [12, 1])
    assert sorted(row["attempts"] for row in rows(tmp_path / "out")) == [1] * 11 + [2]


@pytest.mark.parametrize("how", ["expired", "error line", "lost line"])
def test_what_a_batch_did_not_answer_is_asked_in_the_next(tmp_path: Path, how: str) -> None:
    def end(number: int, lines: list[Line]) -> tuple[str, list[Line], list[Line]]:
        if number:
            return "completed", [answered(line) for line in lines], []
        good, bad = [answered(line) for line in lines[:8]], lines[8:]
        if how == "expired":
            return "expired", good, [expired(line) for line in bad]
        errors = [answered(line, 500, {"error": {"message": "try later"}}) for line in bad]
        return "completed", good, errors if how == "error line" else []

    with batch_server() as server:
        server.end = end
        report = run(server, make_source(tmp_path, 12), tmp_path / "out")
    assert (report.records, server.sizes) == (12, [12, 4])
    assert set(server.paid.values()) == {1}


def test_a_refused_request_rejects_its_sample_alone(tmp_path: Path) -> None:
    def end(number: int, lines: list[Line]) -> tuple[str, list[Line], list[Line]]:
        refusal = {"error": {"message": "flagged", "code": "content_filter"}}
        return "completed", [answered(line) for line in lines[1:]], [answered(lines[0], 400, refusal)]

    with batch_server() as server:
        server.end = end
        report = run(server, make_source(tmp_path, 12), tmp_path / "out")
    assert (report.records, report.rejections) == (11, {"content_filter": 1})


def test_a_request_that_fails_in_every_batch_is_rejected_in_the_end(tmp_path: Path) -> None:
    def end(number: int, lines: list[Line]) -> tuple[str, list[Line], list[Line]]:
        bad = [answered(line, 500, {"error": {"message": "no"}}) for line in lines[:1]]
        return "completed", [answered(line) for line in lines[1:]], bad

    with batch_server() as server:
        server.end = end
        report = run(server, make_source(tmp_path, 5), tmp_path / "out")
    assert (report.rejections, server.sizes) == ({"endpoint_failed": 1}, [5, 1, 1])


def failed(code: str) -> Any:
    return lambda number, lines: ("failed", [], [{"code": code, "message": "the words of the endpoint"}])


def test_a_batch_that_is_refused_as_a_whole_stops_the_build_and_is_sent_anew(tmp_path: Path) -> None:
    source = make_source(tmp_path, 12)
    with batch_server() as server:
        good, server.end = server.end, failed("invalid_model")
        with pytest.raises(EngineStoppedError, match="batch-0 failed: the words of the endpoint"):
            run(server, source, tmp_path / "out")
        server.end = good
        assert run(server, source, tmp_path / "out").records == 12


def test_a_full_queue_is_waited_for(tmp_path: Path) -> None:
    with batch_server() as server:
        good = server.end
        server.end = lambda number, lines: (failed("token_limit_exceeded") if number == 0 else good)(number, lines)
        assert run(server, make_source(tmp_path, 12), tmp_path / "out").records == 12
    assert server.sizes == [12, 12] and set(server.paid.values()) == {1}


def test_a_queue_that_never_takes_a_batch_names_the_option(tmp_path: Path) -> None:
    with batch_server() as server:
        server.end = failed("token_limit_exceeded")
        with pytest.raises(EngineStoppedError, match="smaller batches: --engine-option batch_requests=N"):
            run(server, make_source(tmp_path, 12), tmp_path / "out")


def test_a_batch_that_was_cancelled_there_stops_the_build_and_keeps_its_answers(tmp_path: Path) -> None:
    def end(number: int, lines: list[Line]) -> tuple[str, list[Line], list[Line]]:
        if number:
            return "completed", [answered(line) for line in lines], []
        return "cancelled", [answered(line) for line in lines[:5]], []

    source = make_source(tmp_path, 12)
    with batch_server() as server:
        server.end = end
        with pytest.raises(EngineStoppedError, match="batch-0 was cancelled there"):
            run(server, source, tmp_path / "out")
        assert run(server, source, tmp_path / "out").records == 12
    assert server.sizes == [12, 7] and set(server.paid.values()) == {1}


def start(words: list[str]) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    program = [sys.executable, "-m", "lrs2m_builder.cli", *words]
    return subprocess.Popen(program, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


def test_killed_after_any_step_it_ends_with_the_same_rows_and_pays_for_no_answer_twice(tmp_path: Path) -> None:
    source = make_source(tmp_path, 12)
    with batch_server() as server:
        run(server, source, tmp_path / "undisturbed")
        server.paid.clear()
        server.sizes.clear()
        words = command(server, source, tmp_path / "out")
        # Each run comes one step further: a step that is done is not done again, so its event does not come.
        for step in ("upload", "create", "look", "download"):
            process = start(words)
            server.on_event = lambda name, at=step, victim=process: victim.kill() if name == at else None  # type: ignore[misc]
            assert process.wait(60) == -signal.SIGKILL, (step, process.communicate()[1])
        server.on_event = lambda name: None
        last = start(words)
        assert last.wait(60) == 0, last.communicate()[1]
        assert set(server.paid.values()) == {1} and server.sizes == [12]
    assert file_bytes(tmp_path / "out") == file_bytes(tmp_path / "undisturbed")


def test_after_ctrl_c_while_waiting_the_same_command_collects_the_answers(tmp_path: Path) -> None:
    source = make_source(tmp_path, 12)
    with batch_server() as server:
        server.is_open = False
        words = command(server, source, tmp_path / "out")
        process = start(words)
        looks: list[str] = []
        server.on_event = looks.append
        while looks.count("look") < 2:
            time.sleep(0.05)
            assert process.poll() is None, process.communicate()[1]
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "12 requests stay in 1 batches" in said and "the same command collects their answers" in said
        server.is_open = True
        assert lrs2m(*words).code == 0
    assert set(server.paid.values()) == {1} and server.sizes == [12]


def test_records_of_another_endpoint_are_refused(tmp_path: Path) -> None:
    source = make_source(tmp_path, 5)
    with batch_server() as server, batch_server() as other:
        server.end = lambda number, lines: ("cancelled", [answered(lines[0])], [])
        with pytest.raises(EngineStoppedError):
            run(server, source, tmp_path / "out")
        with pytest.raises(UserError, match=r"was sent to http://127.0.0.1:\d+/v1; give that address"):
            run(other, source, tmp_path / "out")


def test_the_forecast_is_tried_live_and_priced_as_batches(tmp_path: Path) -> None:
    source = make_source(tmp_path, 20)
    with batch_server() as server:
        words = command(server, source, tmp_path / "out", "--dry-run", "--calibrate", "10", "--price", "1000/1000")
        said = lrs2m(*words).out
        result = json.loads(lrs2m(*words, "--json").out)
    assert len(server.live) == 20 and not server.batches
    assert result["forecast"]["dollars"] == 20 * 87 * 1000 / 1e6 / 2
    assert "price      50% of the endpoint's" in said and "$0.87 at the batch price, 50% of --price" in said


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--verify", "warn"), "--engine openai-batch: cannot judge"),
        (("--replicas", "2"), "--replicas: one process sends any number of batches"),
        (("--engine-option", "batch_reqests=5"), "batch_reqests: not an option of the openai-batch engine"),
        (("--engine-option", "poll_s=0"), "poll_s=0: must be a positive number"),
    ],
)
def test_what_batches_cannot_do_is_one_line(tmp_path: Path, flags: tuple[str, ...], message: str) -> None:
    with batch_server() as server:
        words = command(server, make_source(tmp_path, 3), tmp_path / "out", *flags)
        assert message in lrs2m(*words).error
