"""The real engine, real images, real processes: vLLM on a tiny random model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from datasets import load_dataset

from captioner_training.random_model import make_random_model
from lrs2m_builder.declared.shipped import find
from lrs2m_builder.engines import vllm as vllm_engine
from lrs2m_builder.exchange import Request
from tests.in_process import lrs2m
from tests.toy import file_bytes, ids, journaled, make_source, rows

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Qwen2-VL."""
    return make_random_model(tmp_path_factory.mktemp("model"))


def words(source: Path | str, data_dir: Path, out: Path, model: Path, *more: str) -> list[str]:
    """Of a build with the real engine; random words fail the checks, so they only warn."""
    arguments = ["build", "--recipe", "short_to_long", "--source", str(source), "--data-dir", str(data_dir)]
    arguments += ["--out", str(out), "--model", str(model), "--check", "all=warn", "--sampling", "max_tokens=48"]
    return [*arguments, *more]


def command(*arguments: Any) -> list[str]:
    """The same in a process of its own."""
    return [sys.executable, "-m", "lrs2m_builder.cli", *words(*arguments)]


def start(arguments: list[str]) -> subprocess.Popen[str]:
    """In a process group of its own, as a terminal would."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(arguments, start_new_session=True, **pipes)


def wait_for_answers(out: Path, more_than: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline and process.poll() is None:
        if len(journaled(out)) > more_than:
            return
        time.sleep(0.02)
    pytest.fail(f"no answer came: {process.communicate()[0] if process.poll() is not None else 'still starting'}")


def test_real_images_are_captioned_killed_stopped_and_finished(real_data: Path, model: Path, tmp_path: Path) -> None:
    """One build in three lives: SIGKILL, SIGTERM to all its processes, the end. Nothing is lost or asked again."""
    manifest = yaml.safe_load(find("manifests", "ucmerced").read_text())
    source = tmp_path / "ucmerced.yaml"
    source.write_text(yaml.safe_dump(manifest))
    out = tmp_path / "out"
    arguments = command(source, real_data, out, model, "--limit", "700", "--shard-size", "150")

    first = start(arguments)
    wait_for_answers(out, 40, first)
    family = psutil.Process(first.pid).children(recursive=True)
    first.kill()
    first.communicate()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive, f"the engine outlived the build: {alive}"
    kept = journaled(out)
    finished = file_bytes(out)
    assert kept or finished

    second = start(arguments)
    wait_for_answers(out, len(journaled(out)) + 40, second)
    os.killpg(second.pid, signal.SIGTERM)
    output, _ = second.communicate(timeout=120)
    assert second.returncode == 130, output
    assert "Traceback" not in output, output

    third = start([*arguments, "--json"])
    output, _ = third.communicate(timeout=300)
    assert third.returncode == 0, output
    # Standard error is in the output too, and Python's tracker of semaphores may have the last word.
    report = json.loads(next(line for line in output.splitlines() if line.startswith('{"out_dir"')))
    assert report["samples"] == 700 == report["records"]
    assert max(Counter(ids(out)).values()) == 1
    assert all(file_bytes(out)[name] == content for name, content in finished.items())
    # The last life asked only what the others had not answered.
    assert report["run"]["requests"] < 700 - 80

    files = sorted(str(path) for path in (out / "data").rglob("*.parquet"))
    data = load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    row = data[7]
    assert row["image"].size == (row["width"], row["height"])
    assert row["caption_short"] and row["caption_long"] and row["model_revision"].startswith("sha256:")
    assert row["engine"] == "vllm" and row["license"] and row["num_tokens_long"] > 2


def test_a_prompt_too_long_rejects_its_sample_alone(model: Path, tmp_path: Path) -> None:
    source = make_source(tmp_path, 6)
    content = json.loads((tmp_path / "dataset.json").read_text())
    content["images"][2]["sentences"] = [{"raw": "a road beside a field " * 400}]
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    arguments = command(source, tmp_path, tmp_path / "out", model, "--engine-option", "max_model_len=512")
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=240, check=False)
    assert result.returncode == 0, result.stderr
    assert [row["reason"] for row in rows(tmp_path / "out", "rejected")] == ["prompt_too_long"]
    assert len(rows(tmp_path / "out")) == 5


def test_a_model_without_images_is_refused_before_it_is_loaded(model: Path, tmp_path: Path) -> None:
    from transformers import Qwen2Config

    text_only = tmp_path / "text-only"
    text_only.mkdir()
    Qwen2Config(architectures=["Qwen2ForCausalLM"]).save_pretrained(text_only)
    for name in ("tokenizer.json", "chat_template.jinja"):
        shutil.copy(model / name, text_only)
    settings = json.loads((model / "tokenizer_config.json").read_text())
    del settings["processor_class"]
    (text_only / "tokenizer_config.json").write_text(json.dumps(settings))
    found = lrs2m(*words(make_source(tmp_path, 2), tmp_path, tmp_path / "out", text_only))
    assert "takes no images" in found.error


def test_an_unknown_engine_option_is_said(model: Path, tmp_path: Path) -> None:
    given = ("--engine-option", "max_num_seq=3")
    found = lrs2m(*words(make_source(tmp_path, 2), tmp_path, tmp_path / "out", model, *given))
    assert "--engine-option max_num_seq" in found.error


def test_prompts_are_shown_with_image_size_and_tokens(model: Path, tmp_path: Path) -> None:
    given = ("--show-prompts", "2", "--json")
    found = lrs2m(*words(make_source(tmp_path, 3), tmp_path, tmp_path / "out", model, *given))
    first, second = json.loads(found.out)["prompts"]
    assert first["image_size"] == [84, 56]  # 40 x 30 enlarged to the model's least number of pixels, by 28s
    # Six image tokens (84/28 * 56/28) stand for the placeholder in the middle of the text.
    assert "Field number 0" in first["prompt"] and "Field number 1" in second["prompt"]
    assert first["num_prompt_tokens"] > 100
    assert not (tmp_path / "out").exists()


def test_a_multimodal_model_serves_a_text_only_step_too(model: Path) -> None:
    chat = vllm_engine.preview(str(model), "mllm", {})
    request = Request("toy/1#0", 1, 1, "llm", ("Summarize: a road beside a field.",), 7, {})
    assert "Summarize: a road beside a field." in chat.prompt_text(request)
    assert "<|image_pad|>" not in chat.prompt_text(request)
    assert chat.num_prompt_tokens(request, None) > 5
