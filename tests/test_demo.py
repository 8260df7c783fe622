"""The demo: drawn scenes, four recipes, one engine, one page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lrs2m_builder.commands.demo import demo_command
from lrs2m_builder.sample.demo import SEED, SOURCES
from lrs2m_builder.sample.drawing.scene import draw_scene
from lrs2m_builder.sample.texts import write_texts
from lrs2m_builder.schema import Completion, Request
from tests.fake_engine import FakeModule, Script, scores_of
from tests.toy import rows


def truth(request: Request) -> Completion:
    texts = write_texts(draw_scene(SEED, int(Path(request.sample_id).stem)))
    return Completion(texts.long if request.role == "mllm" else texts.short, "stop")


def believing(script: Script) -> FakeModule:
    """An engine whose judge believes everything."""
    return FakeModule(script, scores=lambda request: scores_of(0.99))


def run(folder: Path, module: FakeModule, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("lrs2m_builder.sample.demo.engine_module", lambda name: module)
    demo_command(folder, engine="fake", scenes=3)
    return folder / "index.html"


def test_all_four_recipes_are_built_by_an_engine_that_is_started_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = believing(truth)
    run(tmp_path / "demo", module, monkeypatch)
    assert len(module.engines) == 1
    for recipe in SOURCES:
        assert len(rows(tmp_path / "demo" / "built" / recipe)) == 3, recipe


def test_the_page_shows_every_scene_with_the_texts_of_each_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = run(tmp_path / "demo", believing(truth), monkeypatch).read_text()
    assert page.count("<article") == page.count("<img ") == 3
    assert all(page.count(f"<h2>{recipe}</h2>") == 3 for recipe in SOURCES)
    assert "<script" not in page and "://" not in page
    assert "lrs2m build --recipe" in capsys.readouterr().out


def test_what_a_model_wrote_is_escaped_and_a_rejection_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = FakeModule(lambda request: Completion("I'm sorry, but I cannot <script>alert(1)</script>", "stop"))
    page = run(tmp_path / "demo", hostile, monkeypatch).read_text()
    assert "<script" not in page and "rejected: refusal" in page


def test_a_sentence_that_is_not_true_of_the_image_is_cut_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_ship(request: Request) -> Completion:
        return replace(truth(request), text=f"{truth(request).text} Nine submarines are visible.")

    module = FakeModule(with_ship, scores=lambda r: scores_of(0.01 if "submarine" in r.parts[-1] else 0.99))
    page = run(tmp_path / "demo", module, monkeypatch).read_text()
    assert page.count("<del>Nine submarines are visible.</del>") == 4, "in each text, and once at the beginning"
    assert "&ldquo;There are nine submarines in the image.&rdquo; It gives yes a probability of <b>0.010</b>" in page
    built = rows(tmp_path / "demo" / "built" / "short_to_long")
    assert all("submarine" not in row["caption_long"] for row in built)


def test_a_second_run_goes_on_from_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path / "demo", believing(truth), monkeypatch)
    module = believing(truth)
    assert run(tmp_path / "demo", module, monkeypatch).is_file()
    assert not module.requests
