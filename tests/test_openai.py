"""The openai engine against real sockets: what may pass is tried again, what may not stops or rejects."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lrs2m_builder.build import Report, build
from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.engines import openai as engine_module
from lrs2m_builder.engines._base import EngineStoppedError
from lrs2m_builder.errors import UserError
from tests.fake_endpoint import Handler, endpoint
from tests.toy import make_source, rows


def run(server: Any, folder: Path, num_images: int = 3, **options: Any) -> Report:
    settings: dict[str, Any] = {"base_url": server.url, "max_tries": 4, "timeout_s": 5} | options
    source = make_source(folder / "source", num_images)
    chosen = BuildOptions(
        recipe="short_to_long",
        source=str(source),
        data_dir=source.parent,
        out_dir=folder / "out",
        engine="openai",
        model="toy-model",
        engine_options=settings,
    )
    return build(chosen, engine_module)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between tries of at most a tenth of a second."""
    monkeypatch.setattr(engine_module, "MAX_WAIT_S", 0.1)


def test_a_question_is_sent_as_text_image_text_with_seed_and_sampling(tmp_path: Path) -> None:
    with endpoint(lambda handler, body, number: handler.answer(body)) as server:
        report = run(server, tmp_path)
    assert report.records == 3
    body = server.seen[0]
    before, picture, after = body["messages"][0]["content"]
    assert before["text"].startswith("Write a caption") and "Field number" in after["text"]
    data = base64.b64decode(picture["image_url"]["url"].split(",")[1])
    assert Image.open(io.BytesIO(data)).size == (40, 30)
    assert body["max_tokens"] == 400 and body["seed"] in {row["seed"] for row in rows(tmp_path / "out")}
    assert (rows(tmp_path / "out")[0]["engine"], rows(tmp_path / "out")[0]["model"]) == ("openai", "toy-model")


@pytest.mark.parametrize(
    "fault",
    [
        lambda handler, body: handler.reply(429, {"error": "slow down"}, Retry_After="0"),
        lambda handler, body: handler.reply(503, {"error": "overloaded"}),
        lambda handler, body: handler.reply(200, b"<html>bad gateway</html>"),
        lambda handler, body: handler.reply(200, {"choices": []}),
        lambda handler, body: handler.truncate(body),
        lambda handler, body: handler.drop(),
    ],
    ids=["429", "503", "garbage", "no-choice", "truncated", "dropped"],
)
def test_what_may_pass_is_tried_again(tmp_path: Path, fault: Callable[..., None]) -> None:
    def behave(handler: Handler, body: dict[str, Any], number: int) -> None:
        fault(handler, body) if number <= 2 else handler.answer(body)

    with endpoint(behave) as server:
        report = run(server, tmp_path, 1)
    assert (report.records, len(server.seen)) == (1, 3)
    assert rows(tmp_path / "out")[0]["attempts"] == 1, "a try of the network is no attempt at a caption"


def test_a_silent_endpoint_times_out_and_is_tried_again(tmp_path: Path) -> None:
    def behave(handler: Handler, body: dict[str, Any], number: int) -> None:
        if number == 1:
            time.sleep(1.5)
        handler.answer(body)

    with endpoint(behave) as server:
        assert run(server, tmp_path, 1, timeout_s=0.5).records == 1


def test_retry_after_is_waited_for(tmp_path: Path) -> None:
    times: list[float] = []

    def behave(handler: Handler, body: dict[str, Any], number: int) -> None:
        times.append(time.monotonic())
        handler.reply(429, {}, Retry_After="1") if number == 1 else handler.answer(body)

    with endpoint(behave) as server:
        run(server, tmp_path, 1)
    assert times[1] - times[0] >= 1


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_a_refused_key_or_model_stops_the_build_and_keeps_what_was_answered(tmp_path: Path, status: int) -> None:
    def behave(handler: Handler, body: dict[str, Any], number: int) -> None:
        handler.answer(body) if number <= 2 else handler.reply(status, {"error": "no"})

    with endpoint(behave) as server, pytest.raises(EngineStoppedError, match=f"HTTP {status}"):
        run(server, tmp_path, 30, max_in_flight=1)
    assert len(server.seen) <= 4
    with endpoint(lambda handler, body, number: handler.answer(body)) as server:
        report = run(server, tmp_path, 30)
    assert (report.records, len(server.seen)) == (30, 28)


def test_a_refused_request_rejects_its_sample_alone(tmp_path: Path) -> None:
    def behave(handler: Handler, body: dict[str, Any], number: int) -> None:
        refused = "number 1 " in json.dumps(body)
        handler.reply(400, {"error": "image is too odd"}) if refused else handler.answer(body)

    with endpoint(behave) as server:
        report = run(server, tmp_path, 4)
    assert (report.records, report.rejections) == (3, {"request_refused": 1})
    assert "too odd" in rows(tmp_path / "out", "rejected")[0]["detail"]
    assert len(server.seen) == 4


def test_a_dead_endpoint_stops_the_build_without_a_storm(tmp_path: Path) -> None:
    stops = pytest.raises(EngineStoppedError, match="8 requests in a row failed 4 times")
    with endpoint(lambda handler, body, number: handler.reply(500, {"error": "dead"})) as server, stops:
        run(server, tmp_path, 200, max_in_flight=4)
    # Eight given up after four tries each, and what the other three in flight had asked meanwhile.
    assert len(server.seen) <= (8 + 4) * 4


def test_what_a_dead_endpoint_left_unanswered_is_asked_when_the_build_goes_on(tmp_path: Path) -> None:
    dead = endpoint(lambda handler, body, number: handler.reply(500, {"error": "dead"}))
    with dead as server, pytest.raises(EngineStoppedError):
        run(server, tmp_path, 12, max_in_flight=1)
    with endpoint(lambda handler, body, number: handler.answer(body)) as server:
        report = run(server, tmp_path, 12)
    assert (report.records, len(server.seen)) == (12, 12)


def test_what_was_refused_before_a_stop_is_asked_when_the_build_goes_on(tmp_path: Path) -> None:
    def behave(handler: Handler, body: dict[str, Any], number: int) -> None:
        handler.answer(body) if number <= 5 else handler.reply(400, {"error": "context length is 9 tokens"})

    with endpoint(behave) as server, pytest.raises(EngineStoppedError, match="8 requests in a row"):
        run(server, tmp_path, 40, max_in_flight=1)
    with endpoint(lambda handler, body, number: handler.answer(body)) as server:
        report = run(server, tmp_path, 40)
    assert (report.records, report.rejections, len(server.seen)) == (40, {}, 35)


def test_an_endpoint_that_refuses_everything_stops_the_build(tmp_path: Path) -> None:
    def behave(handler: Handler, body: dict[str, Any], number: int) -> None:
        handler.reply(400, {"error": "max_tokens is not supported"})

    stops = pytest.raises(EngineStoppedError, match=r"refused the first 8 requests.*max_tokens is not supported")
    with endpoint(behave) as server, stops:
        run(server, tmp_path, 200, max_in_flight=4)
    assert len(server.seen) <= 12


@pytest.mark.parametrize("fault", ["parts", "gzip"])
def test_an_answer_in_another_form_is_tried_again(tmp_path: Path, fault: str) -> None:
    def behave(handler: Handler, body: dict[str, Any], number: int) -> None:
        if number > 1:
            handler.answer(body)
        elif fault == "parts":
            handler.reply(200, {"choices": [{"message": {"content": [{"text": "A road."}]}}]})
        else:
            handler.reply(200, b"not gzip", Content_Encoding="gzip")

    with endpoint(behave) as server:
        assert run(server, tmp_path, 1).records == 1


def test_no_server_wrong_address_and_unserved_model_are_one_line(tmp_path: Path) -> None:
    load = engine_module.load
    with pytest.raises(UserError, match="is the server up"):
        load("toy-model", "mllm", {"base_url": "http://127.0.0.1:9/v1"})
    with pytest.raises(UserError, match="needs the endpoint's address"):
        load("toy-model", "mllm", {})
    with pytest.raises(UserError, match="InvalidURL"):
        load("toy-model", "mllm", {"base_url": "http://127.0.0.1:port/v1"})
    with pytest.raises(UserError, match="--engine-option dtype"):
        load("toy-model", "mllm", {"base_url": "http://127.0.0.1:9/v1", "dtype": "float16"})
    unserved = pytest.raises(UserError, match=r"not served by .* it serves toy-model")
    with endpoint(lambda handler, body, number: None) as server, unserved:
        load("other", "mllm", {"base_url": server.url})


def test_a_key_is_sent_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    keys: set[str] = set()

    def behave(handler: Handler, body: dict[str, Any], number: int) -> None:
        keys.add(handler.headers["Authorization"])
        handler.answer(body)

    with endpoint(behave) as server:
        run(server, tmp_path, 1)
    assert keys == {"Bearer sk-secret"}
    written = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert b"sk-secret" not in written


def test_a_key_read_from_a_file_loses_its_line_break_and_an_odd_one_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret\n")
    with endpoint(lambda handler, body, number: handler.answer(body)) as server:
        assert run(server, tmp_path, 1).records == 1
        monkeypatch.setenv("OPENAI_API_KEY", "sk-\nsecret")
        with pytest.raises(UserError, match="OPENAI_API_KEY") as caught:
            engine_module.load("toy-model", "mllm", {"base_url": server.url})
    assert "secret" not in str(caught.value)
