"""The openai engine and a real vLLM server, with a faulty proxy between them."""

from __future__ import annotations

import io
import json
import os
import random
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.run import build
from lrs2m_builder.engines import openai as engine_module
from lrs2m_builder.engines import transformers as transformers_engine
from tests.fake_endpoint import Handler, endpoint
from tests.qwen_models import asked_claim, farthest, make_thinking_model, scores
from tests.test_thinking_models import SOURCES, build_all
from tests.toy import ids, make_source, rows


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between tries of at most a tenth of a second."""
    monkeypatch.setattr(engine_module, "MAX_WAIT_S", 0.1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_thinking_model(tmp_path_factory.mktemp("server") / "model")


@pytest.fixture(scope="module")
def port(model: Path) -> Iterator[int]:
    """The port of a real vLLM server of a model whose template thinks unless it is told not to."""
    folder = model.parent
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model), "--port", str(port)]
    serve += ["--served-model-name", "toy-model", "--dtype", "float32", "--enforce-eager", "--max-model-len", "1024"]
    serve += ["--no-enable-chunked-prefill", "--max-num-batched-tokens", "8192"]
    serve += ["--limit-mm-per-prompt", '{"image": 1}']
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(serve, stdout=log, stderr=log, env=environment, start_new_session=True)
        try:
            deadline = time.monotonic() + 450
            while not _is_up(port):
                is_starting = server.poll() is None and time.monotonic() < deadline
                assert is_starting, (folder / "server.log").read_text()[-3000:]
                time.sleep(1)
            yield port
        finally:
            server.terminate()
            server.wait(timeout=60)


def _is_up(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
    except (urllib.error.URLError, OSError):
        return False
    return True


@pytest.mark.vllm
def test_a_real_vllm_server_behind_a_faulty_proxy_answers_every_row_once(port: int, tmp_path: Path) -> None:
    random_ = random.Random(3)
    faults: Counter[str] = Counter()

    def behave(handler: Handler, body: dict[str, Any], number: int) -> None:
        fault = random_.choice(["429", "500", "garbage", "truncated", "dropped", *["none"] * 8])
        faults[fault] += 1
        if fault == "429":
            handler.reply(429, {}, Retry_After="0")
        elif fault == "500":
            handler.reply(500, {})
        elif fault == "garbage":
            handler.reply(200, b"\x00\xff not json")
        elif fault == "truncated":
            handler.truncate(body)
        elif fault == "dropped":
            handler.drop()
        else:
            data = json.dumps(body).encode()
            url = f"http://127.0.0.1:{port}/v1/chat/completions"
            with urllib.request.urlopen(
                urllib.request.Request(url, data, {"Content-Type": "application/json"})
            ) as real:
                handler.reply(200, real.read())

    with endpoint(behave) as proxy:
        source = make_source(tmp_path / "source", 120)
        options = BuildOptions(
            recipe="short_to_long",
            source=str(source),
            data_dir=source.parent,
            out_dir=tmp_path / "out",
            engine="openai",
            model="toy-model",
            engine_options={"base_url": proxy.url, "max_tries": 12},  # type: ignore[attr-defined]
            sampling={"max_tokens": 24},
            checks={"all": "warn"},
        )
        report = build(options, engine_module)
    assert report.samples == 120 == report.records
    assert len(set(ids(tmp_path / "out"))) == 120
    assert all(faults[name] > 0 for name in ("429", "500", "garbage", "truncated", "dropped"))
    assert faults["none"] == 120, "an answer was asked for twice"
    assert sum(row["num_tokens_long"] > 2 for row in rows(tmp_path / "out")) > 100  # random words, and at times none


def as_sent(image: Image.Image | None) -> Image.Image:
    """The image as the endpoint gets it: a JPEG."""
    assert image is not None
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=95, subsampling=0)
    return Image.open(buffer).convert("RGB")


@pytest.mark.vllm
def test_a_real_server_tells_the_probabilities_of_answers_as_the_embedded_engine(model: Path, port: int) -> None:
    claims = [asked_claim(number) for number in range(24)]
    embedded = transformers_engine.load(str(model), "mllm", {"device": "cpu"})
    ours = scores(embedded, [(request, as_sent(image)) for request, image in claims])
    embedded.close()
    theirs = scores(
        engine_module.load("toy-model", "mllm", {"base_url": f"http://127.0.0.1:{port}/v1"}),
        claims,
    )
    assert farthest(ours, theirs) < 0.02
    assert ours[0].tokens == theirs[0].tokens
    assert [one.num_prompt_tokens for one in ours] == [one.num_prompt_tokens for one in theirs]


@pytest.mark.vllm
@pytest.mark.parametrize("switch", [{}, {"enable_thinking": False}, {"enable_thinking": True}])
def test_all_recipes_build_with_a_model_that_thinks_behind_a_real_server(
    port: int, tmp_path: Path, switch: dict[str, bool]
) -> None:
    options: dict[str, Any] = {"chat_template_kwargs": switch} if switch else {}
    found = build_all(engine_module, "openai", "toy-model", tmp_path, base_url=f"http://127.0.0.1:{port}/v1", **options)
    assert found == dict.fromkeys(SOURCES, 2)
