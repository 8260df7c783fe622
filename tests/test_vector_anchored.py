"""Paradigm 4: labels become anchors, the long text must agree with them, and two models run one after the other."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lrs2m_builder.build import Report, build
from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.errors import UserError
from lrs2m_builder.exchange import Completion, Request, Role
from tests.fake_engine import FakeEngine, FakeModule, good_text
from tests.toy import ids, rows

SHORT = "Planes and a ship lie beside green fields."


def labelled(folder: Path, num_images: int) -> Path:
    """Images with three planes and one ship each."""
    (folder / "images").mkdir(parents=True)
    lines = []
    for number in range(num_images):
        Image.new("RGB", (24, 24), (90, 120, 60)).save(folder / "images" / f"{number}.png")
        anchors = [{"class": "plane", "count": 3}, {"class": "ship", "count": 1}]
        lines.append(json.dumps({"image": f"{number}.png", "anchors": anchors}))
    (folder / "labels.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def answer(request: Request) -> Completion:
    """A good long text, and a good short one for the text-only step."""
    text = SHORT if request.role == "llm" else f"Three planes and one ship can be seen. {good_text(request.seed)}"
    return Completion(text, "stop", 5, 9)


class TwoModels(FakeModule):
    """Notes which engines are open at the same time."""

    most_open = 0

    def load(self, model: str, role: Role, options: Mapping[str, Any], samplings: Any = ()) -> FakeEngine:
        engine = super().load(model, role, options, samplings)
        engine.closed = False  # type: ignore[attr-defined]

        def close() -> None:
            engine.closed = True  # type: ignore[attr-defined]

        engine.close = close  # type: ignore[method-assign]
        self.most_open = max(self.most_open, sum(not each.closed for each in self.engines))  # type: ignore[attr-defined]
        return engine


def build_anchored(folder: Path, out: Path, module: FakeModule, model: str | None = None) -> Report:
    options = BuildOptions(
        recipe="vector_anchored", source="openlandmap", data_dir=folder, out_dir=out, model=model, shard_size=4
    )
    return build(options, module)


def test_the_long_text_comes_first_and_the_short_one_from_it(tmp_path: Path) -> None:
    module = TwoModels(answer)
    report = build_anchored(labelled(tmp_path / "data", 10), tmp_path / "out", module)
    assert (report.samples, report.records) == (10, 10)
    row = rows(tmp_path / "out")[0]
    assert row["anchors"] == [{"class": "plane", "count": 3}, {"class": "ship", "count": 1}]
    assert row["caption_short"] == SHORT and row["caption_long"].startswith("Three planes")
    assert row["long_source"] == "Qwen/Qwen2-VL-7B-Instruct" and row["short_source"] == "Qwen/Qwen2.5-7B-Instruct"
    long_request, short_request = (
        next(r for r in module.requests if r.sample_id == row["sample_id"] and r.step == n) for n in (0, 1)
    )
    assert "- plane: 3\n- ship: 1" in long_request.parts[1]
    assert row["caption_long"] in short_request.parts[0] and len(short_request.parts) == 1


def test_two_models_run_one_after_the_other_over_all_shards(tmp_path: Path) -> None:
    module = TwoModels(answer)
    build_anchored(labelled(tmp_path / "data", 10), tmp_path / "out", module)
    assert [engine.model for engine in module.engines] == ["Qwen/Qwen2-VL-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct"]
    assert [{request.step for request in engine.requests} for engine in module.engines] == [{0}, {1}]
    assert module.most_open == 1


def test_one_model_serves_both_steps_in_one_pass(tmp_path: Path) -> None:
    module = TwoModels(answer)
    build_anchored(labelled(tmp_path / "data", 6), tmp_path / "out", module, model="one-for-both")
    assert len(module.engines) == 1
    assert Counter(request.step for request in module.requests) == {0: 6, 1: 6}


def test_a_build_that_stops_between_the_models_asks_the_first_nothing_again(tmp_path: Path) -> None:
    folder = labelled(tmp_path / "data", 10)

    class SecondFails(TwoModels):
        def load(self, model: str, role: Role, options: Mapping[str, Any], samplings: Any = ()) -> FakeEngine:
            if "Qwen2.5" in model:
                raise UserError("the second model is not there")
            return super().load(model, role, options, samplings)

    first = SecondFails(answer)
    with pytest.raises(UserError, match="second model"):
        build_anchored(folder, tmp_path / "out", first)
    assert len(first.requests) == 10
    second = TwoModels(answer)
    build_anchored(folder, tmp_path / "out", second)
    assert [engine.model for engine in second.engines] == ["Qwen/Qwen2.5-7B-Instruct"], "the first is not started again"
    assert Counter(request.step for request in second.requests) == {1: 10}
    assert len(set(ids(tmp_path / "out"))) == 10


def test_a_text_that_contradicts_the_labels_is_asked_again_with_the_reason(tmp_path: Path) -> None:
    def script(request: Request) -> Completion:
        if request.role == "mllm" and request.attempt == 1:
            return Completion(f"Four planes can be seen beside a ship. {good_text(request.seed)}", "stop")
        if request.role == "mllm" and request.attempt == 2:
            return Completion(f"Three planes can be seen. {good_text(request.seed)}", "stop")
        return answer(request)

    module = FakeModule(script)
    build_anchored(labelled(tmp_path / "data", 1), tmp_path / "out", module)
    problems = [request.parts[1].rsplit("could not be used. ")[-1] for request in module.requests if request.step == 0]
    assert problems[1].strip() == "The answer gave 4 as the number of plane; there are 3."
    assert problems[2].strip() == "The answer did not mention: ship. Mention each of them."
