"""The openai engine and a real vLLM server, with a faulty proxy between them."""

from __future__ import annotations

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
from pathlib import Path
from typing import Any

import pytest

from lrs2m_builder.build import build
from lrs2m_builder.engines import openai as engine_module
from lrs2m_builder.options import BuildOptions
from lrs2m_builder.sample.random_model import make_random_model
from tests.fake_endpoint import Handler, endpoint
from tests.toy import ids, make_source, rows


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between tries of at most a tenth of a second."""
    monkeypatch.setattr(engine_module, "MAX_WAIT_S", 0.1)


@pytest.mark.vllm
def test_a_real_vllm_server_behind_a_faulty_proxy_answers_every_row_once(tmp_path: Path) -> None:
    model = make_random_model(tmp_path / "model")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model), "--port", str(port)]
    serve += ["--served-model-name", "toy-model", "--dtype", "bfloat16", "--enforce-eager", "--max-model-len", "1024"]
    serve += [
        "--no-enable-chunked-prefill",
        "--max-num-batched-tokens",
        "8192",
        "--limit-mm-per-prompt",
        '{"image": 1}',
    ]
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    log = (tmp_path / "server.log").open("w")
    server = subprocess.Popen(serve, stdout=log, stderr=log, env=environment, start_new_session=True)
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

    try:
        deadline = time.monotonic() + 450
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                break
            except (urllib.error.URLError, OSError):
                assert server.poll() is None and time.monotonic() < deadline, (tmp_path / "server.log").read_text()[
                    -3000:
                ]
                time.sleep(1)
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
    finally:
        server.terminate()
        server.wait(timeout=60)
        log.close()
    assert report.samples == 120 == report.records
    assert len(set(ids(tmp_path / "out"))) == 120
    assert all(faults[name] > 0 for name in ("429", "500", "garbage", "truncated", "dropped"))
    assert faults["none"] == 120, "an answer was asked for twice"
    assert all(row["num_tokens_long"] > 2 for row in rows(tmp_path / "out"))
