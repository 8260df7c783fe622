"""A model whose template thinks unless it is told not to, as those of 2026 do: all four recipes, in every engine."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.run import build
from lrs2m_builder.engines import transformers as transformers_engine
from lrs2m_builder.engines import vllm as vllm_engine
from lrs2m_builder.engines._base import EngineModule
from lrs2m_builder.engines._chat import Chat
from lrs2m_builder.engines._model_files import find_model
from lrs2m_builder.engines._pool import SharedEngine
from lrs2m_builder.errors import UserError
from lrs2m_builder.exchange import Request
from lrs2m_builder.sample.formats import write_sample_source
from tests.qwen_models import make_thinking_model

SOURCES = {"merge": "world", "long_to_short": "vhm", "short_to_long": "karpathy", "vector_anchored": "geojson"}
PICTURE = Request("toy/1", 0, 1, "mllm", ("Describe it.", "It is a field."), 7, {"max_tokens": 400})
TEXT = Request("toy/1", 0, 1, "llm", ("A road beside a field.",), 7, {"max_tokens": 400})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_thinking_model(tmp_path_factory.mktemp("thinking"))


def build_all(module: EngineModule, name: str, model: str, tmp_path: Path, **options: object) -> dict[str, int]:
    """Rows of each recipe; random words fail the checks, so they only warn."""
    found = {}
    with SharedEngine(module) as pool:
        for recipe, kind in SOURCES.items():
            source = write_sample_source(kind, tmp_path / "sources" / kind, 2, 1)
            report = build(
                BuildOptions(
                    recipe=recipe,
                    source=str(source),
                    data_dir=source.parent,
                    out_dir=tmp_path / recipe,
                    engine=name,
                    model=model,
                    engine_options=options,
                    sampling={"max_tokens": 16},
                    checks={"all": "off", "empty": "error", "cut_off": "warn"}
                    if recipe != "merge"
                    else {"all": "warn"},
                ),
                pool,
            )
            assert report.samples == report.records + sum(report.rejections.values())
            found[recipe] = report.records
    return found


@pytest.mark.parametrize("request_", [PICTURE, TEXT], ids=["image", "text"])
def test_thinking_is_off_unless_it_is_asked_for(model: Path, request_: Request) -> None:
    files = find_model(str(model))
    assert Chat(files, "mllm", {}).prompt_text(request_).endswith("<think>\n\n</think>\n\n")
    asked_for = Chat(files, "mllm", {"chat_template_kwargs": {"enable_thinking": True}})
    assert asked_for.prompt_text(request_).endswith("<think>\n")


def test_an_open_thought_is_said_before_the_build(model: Path) -> None:
    chat = Chat(find_model(str(model)), "mllm", {"chat_template_kwargs": {"enable_thinking": True}})
    (note,) = chat.prove(PICTURE)
    assert "opens a thought (<think>)" in note and "max_tokens (400)" in note
    assert Chat(find_model(str(model)), "mllm", {}).prove(PICTURE) == []


@pytest.mark.parametrize(
    "given", [{"enable_thinkin": False}, {"thinking_budget": 3}, {"messages": []}, {"tokenize": True}]
)
def test_a_switch_that_the_template_does_not_read_is_refused(model: Path, given: dict[str, object]) -> None:
    with pytest.raises(UserError, match="chat_template_kwargs"):
        Chat(find_model(str(model)), "mllm", {"chat_template_kwargs": given})


def test_a_system_prompt_stands_before_the_request(model: Path) -> None:
    chat = Chat(find_model(str(model)), "mllm", {})
    text = chat.prompt_text(replace(PICTURE, system="You look from above."))
    assert text.startswith("<|im_start|>system\nYou look from above.<|im_end|>\n<|im_start|>user\nDescribe it.")


def test_all_recipes_build_with_the_embedded_engine(model: Path, tmp_path: Path) -> None:
    assert build_all(transformers_engine, "transformers", str(model), tmp_path, device="cpu") == dict.fromkeys(
        SOURCES, 2
    )


@pytest.mark.vllm
def test_all_recipes_build_with_vllm(model: Path, tmp_path: Path) -> None:
    assert build_all(vllm_engine, "vllm", str(model), tmp_path, max_model_len=1024) == dict.fromkeys(SOURCES, 2)


def test_a_template_that_is_renamed_away_is_missed(model: Path, tmp_path: Path) -> None:
    bare = Path(shutil.copytree(model, tmp_path / "bare"))
    (bare / "chat_template.jinja").unlink()
    with pytest.raises(UserError, match="has no chat template"):
        Chat(find_model(str(bare)), "llm", {})
