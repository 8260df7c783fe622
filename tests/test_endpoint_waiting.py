"""An endpoint that is away is waited for, one that hangs is left, and a refusal is laid to whom it belongs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from lrs2m_builder.engines import openai as engine_module
from lrs2m_builder.engines._base import EngineStoppedError
from lrs2m_builder.engines.openai import OpenAIEngine, load
from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.exchange import Completion, Request
from tests.endpoint_faults import drip, silent
from tests.fake_endpoint import Behaviour, Handler, QuietServer, endpoint
from tests.toy import ROOT, make_source


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between tries of at most a tenth of a second."""
    monkeypatch.setattr(engine_module, "MAX_WAIT_S", 0.1)


def engine_for(server: QuietServer, **options: Any) -> OpenAIEngine:
    return load("toy-model", "llm", {"base_url": server.url, "max_tries": 3, "timeout_s": 5, **options})


def request(number: int) -> Request:
    return Request(f"toy/{number}", 0, 1, "llm", (f"number {number} ",), number, {"max_tokens": 9})


def is_about(body: dict[str, Any], number: int) -> bool:
    return f"number {number} " in json.dumps(body)


def asked(engine: OpenAIEngine, num: int) -> list[Completion | BaseException]:
    """What comes of `num` requests at once."""

    async def all_of_them() -> list[Completion | BaseException]:
        try:
            return await asyncio.gather(
                *(engine.generate(request(i), None) for i in range(num)), return_exceptions=True
            )
        finally:
            await engine.finish()

    return asyncio.run(all_of_them())


def num_answered(outcomes: list[Completion | BaseException]) -> int:
    return sum(isinstance(outcome, Completion) for outcome in outcomes)


def test_an_endpoint_that_is_away_is_waited_for_by_all_and_asked_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    probing: set[int] = set()
    at_once: list[int] = []

    def behave(handler: Handler, body: dict[str, Any], number: int) -> None:
        if number > 40:
            handler.answer(body)
            return
        if number > 30:  # thirty may be on their way when the first one fails
            probing.add(number)
            at_once.append(len(probing))
            time.sleep(0.05)
            probing.discard(number)
        handler.reply(503, {"error": "loading the model"})

    with endpoint(behave) as server:
        assert num_answered(asked(engine_for(server), 30)) == 30
    assert at_once == [1] * 10
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and "waiting for" in said[0] and "loading the model" in said[0] and "is back" in said[1]


def test_a_server_that_is_started_again_elsewhere_in_time_is_found_again() -> None:
    with endpoint(lambda handler, body, number: handler.answer(body)) as server:
        engine, port = engine_for(server), server.server_port
    outcomes: list[Any] = []
    asking = threading.Thread(target=lambda: outcomes.extend(asked(engine, 5)))
    asking.start()
    time.sleep(0.5)
    with endpoint(lambda handler, body, number: handler.answer(body), port=port):
        asking.join(20)
        assert num_answered(outcomes) == 5


@pytest.mark.parametrize("status", [502, 504, 521])
def test_an_endpoint_that_stays_away_stops_the_build_after_the_time_told(status: int) -> None:
    with endpoint(lambda handler, body, number: handler.reply(status, {})) as server:
        outcomes = asked(engine_for(server, wait_s=0.5), 5)
    assert {type(outcome) for outcome in outcomes} == {EngineStoppedError}
    assert "kept, the same command goes on" in str(outcomes[0]) and "wait_s" in str(outcomes[0])


def test_with_no_time_to_wait_the_first_failure_stops() -> None:
    with endpoint(lambda handler, body, number: handler.reply(503, {})) as server:
        outcomes = asked(engine_for(server, wait_s=0), 1)
        assert isinstance(outcomes[0], EngineStoppedError) and len(server.seen) == 1


@pytest.mark.parametrize("num", [1, 6])
def test_a_request_that_kills_every_server_is_rejected_and_the_others_are_answered(num: int) -> None:
    def behave(handler: Handler, body: dict[str, Any], number: int) -> None:
        handler.drop() if is_about(body, 0) else handler.answer(body)

    with endpoint(behave) as server:
        outcomes = asked(engine_for(server, wait_s=60), num)
        assert len(server.seen) < 30
    assert isinstance(outcomes[0], SampleError) and outcomes[0].reason == "endpoint_failed"
    assert num_answered(outcomes) == num - 1


def test_one_dropped_connection_holds_up_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    def behave(handler: Handler, body: dict[str, Any], number: int) -> None:
        handler.drop() if number == 1 else handler.answer(body)

    with endpoint(behave) as server:
        assert num_answered(asked(engine_for(server), 8)) == 8
    assert not capsys.readouterr().err


@pytest.mark.parametrize("fault", [drip, silent])
def test_a_request_ends_at_its_deadline_however_the_endpoint_holds_it(fault: Any) -> None:
    with endpoint(lambda handler, body, number: fault(handler, body)) as server:
        engine = engine_for(server, timeout_s=0.3)
        began = time.monotonic()
        (outcome,) = asked(engine, 1)
    assert isinstance(outcome, SampleError) and "0.3 s" in outcome.detail
    assert time.monotonic() - began < 20


def test_a_list_of_models_that_drips_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    from lrs2m_builder.engines import _endpoint_models as endpoint_models

    monkeypatch.setattr(endpoint_models, "LIST_S", 0.5)
    with endpoint(lambda h, b, n: h.answer(b), list_models=lambda h: drip(h, {})) as server:
        assert num_answered(asked(engine_for(server), 1)) == 1


def refusing(numbers: range, status: int = 400, message: str = "no") -> Behaviour:
    def behave(handler: Handler, body: dict[str, Any], number: int) -> None:
        is_refused = any(is_about(body, i) for i in numbers)
        handler.reply(status, {"error": {"message": message}}) if is_refused else handler.answer(body)

    return behave


def one_by_one(engine: OpenAIEngine, num: int) -> list[Completion | BaseException]:
    async def all_of_them() -> list[Completion | BaseException]:
        outcomes: list[Any] = []
        for i in range(num):
            outcomes += await asyncio.gather(engine.generate(request(i), None), return_exceptions=True)
        await engine.finish()
        return outcomes

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("status", [400, 413, 418, 422, 451])
def test_refusals_in_a_row_stop_the_build_whatever_was_answered_before(status: int) -> None:
    with endpoint(refusing(range(5, 99), status)) as server:
        outcomes = one_by_one(engine_for(server), 13)
    assert num_answered(outcomes) == 5
    assert isinstance(outcomes[12], EngineStoppedError) and "8 requests in a row" in str(outcomes[12])


def test_prompts_that_are_all_too_long_stop_the_build() -> None:
    with endpoint(refusing(range(99), 400, "maximum context length is 9 tokens")) as server:
        outcomes = one_by_one(engine_for(server), 8)
    assert isinstance(outcomes[0], SampleError) and outcomes[0].reason == "prompt_too_long"
    assert isinstance(outcomes[7], EngineStoppedError)


def test_refusals_beside_answers_that_take_longer_reject_their_samples_alone() -> None:
    def behave(handler: Handler, body: dict[str, Any], number: int) -> None:
        if not is_about(body, 0):
            handler.reply(400, {"error": "no"})
        else:
            time.sleep(1)
            handler.answer(body)

    with endpoint(behave) as server:
        outcomes = asked(engine_for(server), 12)
    assert num_answered(outcomes) == 1
    assert {type(outcome) for outcome in outcomes[1:]} == {SampleError}


def test_refusals_of_all_that_is_in_flight_are_nobodys_rejections() -> None:
    with endpoint(refusing(range(99))) as server:
        outcomes = asked(engine_for(server), 12)
    assert {type(outcome) for outcome in outcomes} == {EngineStoppedError}


def test_what_waits_for_an_endpoint_is_dropped_when_the_build_stops() -> None:
    with endpoint(lambda handler, body, number: handler.reply(503, {}, Retry_After="500")) as server:
        engine = engine_for(server)

        async def stopped() -> list[Any]:
            tasks = [asyncio.create_task(engine.generate(request(i), None)) for i in range(5)]
            await asyncio.sleep(0.5)
            engine.stop_waiting()
            outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
            await engine.finish()
            return outcomes

        coroutine: Coroutine[Any, Any, list[Any]] = stopped()
        assert {type(outcome) for outcome in asyncio.run(coroutine)} == {asyncio.CancelledError}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_a_build_that_waits_for_its_endpoint(tmp_path: Path, number: signal.Signals) -> None:
    source = make_source(tmp_path / "source", 6)

    def behave(handler: Handler, body: dict[str, Any], number: int) -> None:
        handler.answer(body) if number <= 2 else handler.reply(503, {})

    with endpoint(behave) as server:
        command = [sys.executable, "-m", "lrs2m_builder.cli", "build", "--recipe", "short_to_long", "--model"]
        command += ["toy-model", "--source", str(source), "--data-dir", str(source.parent), "--out"]
        command += [str(tmp_path / "out"), "--engine", "openai", "--base-url", server.url]
        process = subprocess.Popen(command, cwd=ROOT, env=dict(os.environ), stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        assert any("waiting for" in line for line in lines)
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode == 130


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def test_a_server_that_is_not_up_yet_is_waited_for_where_the_user_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    options = {"base_url": f"http://127.0.0.1:{port}/v1", "wait_s": 30}
    with pytest.raises(UserError, match="is the server up"):
        load("toy-model", "llm", {**options, "wait_s": None})
    found: list[OpenAIEngine] = []
    loading = threading.Thread(target=lambda: found.append(load("toy-model", "llm", options)))
    loading.start()
    said, until = "", time.monotonic() + 20
    while "waiting for" not in said and time.monotonic() < until:
        said += capsys.readouterr().err
        time.sleep(0.05)
    with endpoint(lambda handler, body, number: None, port=port):
        loading.join(20)
    assert found and "waiting for" in said and "is back" in capsys.readouterr().err
