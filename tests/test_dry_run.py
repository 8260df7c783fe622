"""A dry run refuses whatever the build would refuse, in one line and before anything starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lrs2m_builder.build.options import check_writable
from lrs2m_builder.build.prepare import prepare
from lrs2m_builder.build.preview import dry_run, show_prompts
from lrs2m_builder.build.run import build
from lrs2m_builder.engines import engine_module
from lrs2m_builder.engines._options import parse_options
from lrs2m_builder.errors import ModelNotHereError, UserError
from lrs2m_builder.exchange import Completion
from tests.fake_engine import FakeModule, good_text
from tests.toy import build_toy, make_source, toy_options


def check(engine: str, options: Sequence[str] = (), sampling: Sequence[str] = ()) -> None:
    given = parse_options("--engine-option", options)
    engine_module(engine).check("m", "mllm", given, [parse_options("--sampling", sampling)])


@pytest.mark.parametrize("engine", ["vllm", "transformers"])
@pytest.mark.parametrize(
    "sampling",
    ["temprature=0.2", "temperature=hot", "temperature=-1", "top_p=1.5", "top_p=null", "top_k=1.5", "max_tokens=0",
     "max_tokens=many", "stop=[1]", "min_p=[0.1]", "repetition_penalty=0", "chat_template_kwargs={a: 1}"],
)  # fmt: skip
def test_a_sampling_parameter_that_cannot_be_used_is_refused(engine: str, sampling: str) -> None:
    with pytest.raises(UserError, match=f"--sampling {sampling.partition('=')[0]}"):
        check(engine, sampling=[sampling])


@pytest.mark.parametrize(
    ("engine", "option"),
    [
        ("vllm", "max_modle_len=100"),
        ("vllm", "max_model_len=abc"),
        ("vllm", "max_model_len=1.5"),
        ("vllm", "enforce_eager=7"),
        ("vllm", "gpu_memory_utilization=much"),
        ("vllm", "limit_mm_per_prompt={image: many}"),
        ("vllm", "limit_mm_per_prompt=3"),
        ("vllm", "max_pixels=-1"),
        ("vllm", "chat_template_kwargs=false"),
        ("vllm", "base_url=http://h"),
        ("transformers", "batchsize=3"),
        ("transformers", "batch_size=0"),
        ("transformers", "dtype=int3"),
        ("transformers", "trust_remote_code=yes"),
        ("transformers", "chat_template_kwargs=[1]"),
        ("transformers", "chat_template_kwargs={1: 2}"),
        ("openai", "max_pixel=3"),
        ("openai", "max_in_flight=none"),
    ],
)
def test_an_engine_option_that_cannot_be_used_is_refused(engine: str, option: str) -> None:
    with pytest.raises(UserError, match=f"--engine-option {option.partition('=')[0]}"):
        check(engine, [option, *(["base_url=http://127.0.0.1:1/v1"] if engine == "openai" else [])])


def test_an_endpoint_without_an_address_is_refused() -> None:
    with pytest.raises(UserError, match="--base-url"):
        check("openai")


@pytest.mark.parametrize("engine", ["vllm", "transformers"])
def test_what_can_be_used_is_taken(engine: str) -> None:
    options = [
        "max_model_len=4096",
        "max_pixels=5e5",
        "dtype=bfloat16",
        "chat_template_kwargs={enable_thinking: false}",
    ]
    check(engine, [*options, "revision=0123456", "trust_remote_code=True"], ["temperature=1", "stop=###", "top_k=-1"])
    if engine == "vllm":
        check(engine, ["limit_mm_per_prompt={image: 1}", "gpu_memory_utilization=.9"], ["presence_penalty=1"])


@pytest.mark.parametrize("below", ["", "below", "far/below"])
def test_a_folder_that_is_or_lies_below_a_file_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="is a file; give a folder"):
        check_writable(tmp_path / "file" / below)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("out", ["/proc/x", "/proc/self/x/y", "/sys/kernel/x", "/dev/full", "x" * 300, "a\x00b"])
def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, out: str) -> None:
    with pytest.raises(UserError, match="--out"):
        check_writable(tmp_path / out)


def test_a_folder_that_can_be_made_is_not_made(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "folder")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("recipe", ["long_to_short", "vector_anchored"])
def test_a_source_without_what_the_recipe_reads_is_refused_with_the_count(tmp_path: Path, recipe: str) -> None:
    source = make_source(tmp_path, 3)
    with pytest.raises(UserError, match=r"unusable 3 no_\w+ .*; recipe \w+ reads"):
        prepare(toy_options(source, tmp_path / "out", recipe=recipe), FakeModule())
    with pytest.raises(UserError, match="none of its 3 samples can be used"):
        build(toy_options(source, tmp_path / "out", recipe=recipe), FakeModule())
    assert not (tmp_path / "out").exists()


def test_samples_that_cannot_be_used_are_counted_beside_those_that_can(tmp_path: Path) -> None:
    source = make_source(tmp_path, 3, missing=[1])
    assert dry_run(prepare(toy_options(source, tmp_path / "out"), FakeModule()))["unusable"] == {"image_missing": 1}


def test_a_build_goes_on_only_with_its_system_prompt(tmp_path: Path) -> None:
    source, module = make_source(tmp_path, 2), FakeModule(lambda request: Completion(good_text(request.seed), "stop"))
    build_toy(source, tmp_path / "out", module, system="You look from above.")
    assert {request.system for request in module.requests} == {"You look from above."}
    with pytest.raises(UserError, match=r"system was You look from above\., now unset"):
        build_toy(source, tmp_path / "out")


class WithoutModel(FakeModule):
    """An engine whose model is not here."""

    def find(self, model: str, options: Any) -> tuple[str, str]:
        raise ModelNotHereError(f"--model {model}: not here")


def test_prompts_are_shown_without_the_models_files(tmp_path: Path) -> None:
    source, module = make_source(tmp_path, 2), WithoutModel()
    options = toy_options(source, tmp_path / "out", system="Be brief.")
    prepared = prepare(options, module, needs_model=False)
    assert "shown without the model's chat template" in prepared.lint[0]
    (shown,) = show_prompts(prepared, module, 1)
    assert shown["num_prompt_tokens"] is None and shown["prompt"].startswith("Be brief.")
    assert "<image>" in shown["prompt"] and "Field number 0" in shown["prompt"]
    with pytest.raises(UserError, match="not here"):
        prepare(options, module)
