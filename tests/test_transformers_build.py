"""The embedded engine loads what it can use, refuses the rest in one line, and builds through every stop."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.run import build
from lrs2m_builder.engines import engine_names
from lrs2m_builder.engines import transformers as module
from lrs2m_builder.engines.transformers import TransformersEngine
from lrs2m_builder.errors import UserError
from lrs2m_builder.exchange import Completion, Request, Role
from tests.qwen_models import SEEDED, answers, asked, make_wandering_model
from tests.test_long_to_short import entry, write_vhm
from tests.toy import file_bytes, ids, journaled, make_source


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_wandering_model(tmp_path_factory.mktemp("model"))


def error_of(model: Path | str, *, role: Role = "mllm", sampling: dict[str, Any] | None = None, **options: Any) -> str:
    """What `load` says to settings it refuses."""
    with pytest.raises(UserError) as caught:
        module.load(str(model), role, options, [sampling or {}])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_settings_that_cannot_be_used_are_refused_in_one_line(model: Path, tmp_path: Path) -> None:
    assert "--engine-option gpus: not an option" in error_of(model, gpus=2)
    assert "batch_size=0" in error_of(model, batch_size=0)
    assert "dtype=int3: one of auto, bfloat16" in error_of(model, dtype="int3")
    assert "device=moon" in error_of(model, device="moon")
    assert "--sampling logprobs: the transformers engine knows" in error_of(model, sampling={"logprobs": 3})
    assert "--sampling top_p=1.5" in error_of(model, sampling={"top_p": 1.5})
    assert "no config.json" in error_of(tmp_path)
    no_model = tmp_path / "no-model"
    shutil.copytree(model, no_model)
    (no_model / "model.safetensors").write_bytes(b"not weights")
    assert "could not load it" in error_of(no_model)
    (no_model / "model.safetensors").unlink()
    assert "could not load it" in error_of(no_model)
    (no_model / "config.json").write_text('{"model_type": "nothing"}')
    assert "could not load it" in error_of(no_model)


def test_weights_that_are_missing_are_not_made_up(model: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(model, tmp_path / "broken"))
    weights = load_file(broken / "model.safetensors")
    name = next(name for name in weights if name.endswith("q_proj.weight"))
    save_file({key: weight for key, weight in weights.items() if key != name}, broken / "model.safetensors")
    assert "lack 1 weights" in error_of(broken)


def test_a_text_only_model_answers_text_and_refuses_images(model: Path, tmp_path: Path) -> None:
    config = transformers.Qwen2Config(
        vocab_size=1024, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1,
    )  # fmt: skip
    transformers.Qwen2ForCausalLM(config).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "chat_template.jinja"):
        shutil.copy(model / name, tmp_path)
    settings = json.loads((model / "tokenizer_config.json").read_text())
    del settings["processor_class"]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    engine = module.load(str(tmp_path), "llm", {"device": "cpu"})
    questions = [asked(i, SEEDED, with_image=False) for i in range(5)]
    together = answers(engine, questions)
    assert together == [answers(engine, [question])[0] for question in questions]
    assert {answer.num_tokens for answer in together} == {32}
    engine.close()
    assert "takes no images" in error_of(tmp_path)


def test_a_text_only_build_opens_no_image_while_it_asks(
    model: Path, tmp_path: Path, files_opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    generate = TransformersEngine.generate
    opened_while_asking: list[str] = []

    async def watched(self: TransformersEngine, request: Request, image: Image.Image | None) -> Completion:
        completion = await generate(self, request, image)
        assert image is None
        opened_while_asking.extend(path for path in files_opened if path.endswith(".jpg"))
        return completion

    monkeypatch.setattr(TransformersEngine, "generate", watched)
    folder = write_vhm(tmp_path / "data", [entry(f"{i}.jpg", "LoveDA") for i in range(6)])
    files_opened.clear()
    report = build(
        BuildOptions(
            recipe="long_to_short",
            source="loveda",
            data_dir=folder,
            out_dir=tmp_path / "out",
            engine="transformers",
            model=str(model),
            checks={"all": "warn"},
        ),
        module,
    )
    assert report.samples == 6 == report.records
    assert opened_while_asking == []
    assert [path for path in files_opened if path.endswith(".jpg")], "the images were stored, so the watch works"


def test_a_build_killed_and_stopped_goes_on_to_the_same_rows(model: Path, tmp_path: Path) -> None:
    """Three lives: SIGKILL, Ctrl-C, the end; its texts are those of a build that nothing stopped."""
    source = make_source(tmp_path / "source", 80)
    out, whole = tmp_path / "out", tmp_path / "whole"

    def start(out_dir: Path, *more: str) -> subprocess.Popen[str]:
        arguments = ["build", "--recipe", "short_to_long", "--source", str(source), "--data-dir", str(source.parent)]
        arguments += ["--out", str(out_dir), "--engine", "transformers", "--model", str(model), "--check", "all=warn"]
        arguments += ["--sampling", "max_tokens=64", "--shard-size", "16", *more]
        arguments = [sys.executable, "-m", "lrs2m_builder.cli", *arguments]
        return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def wait_for_answers(process: subprocess.Popen[str], number: int) -> None:
        deadline = time.monotonic() + 240
        while len(journaled(out)) + len(ids(out)) < number:
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
            time.sleep(0.01)

    first = start(out, "--engine-option", "batch_size=4")
    wait_for_answers(first, 10)
    first.kill()
    first.communicate()
    kept, finished = len(journaled(out)) + len(ids(out)), file_bytes(out)
    second = start(out, "--engine-option", "batch_size=4")
    wait_for_answers(second, kept + 10)
    second.send_signal(signal.SIGINT)
    output, _ = second.communicate(timeout=240)
    assert second.returncode == 130 and "Traceback" not in output, output
    third = start(out, "--json")  # with another batch size
    output, _ = third.communicate(timeout=240)
    assert third.returncode == 0, output
    report = json.loads(output.splitlines()[-1])
    assert report["samples"] == 80 == report["records"] + sum(report["rejections"].values())
    assert report["run"]["requests"] <= 80 - kept - 10
    assert max(Counter(ids(out)).values()) == 1
    assert all(file_bytes(out)[name] == content for name, content in finished.items())

    assert start(whole).wait(timeout=240) == 0
    assert file_bytes(out) == file_bytes(whole)


def test_the_engine_is_named_where_engines_are_chosen() -> None:
    assert engine_names() == ["openai", "openai-batch", "transformers", "vllm"]
