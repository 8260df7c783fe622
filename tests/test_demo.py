"""The demo: drawn scenes, four recipes, one engine, one page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lrs2m_builder.commands.demo import demo_command
from lrs2m_builder.exchange import Completion, Request
from lrs2m_builder.sample.demo import SEED, SOURCES
from lrs2m_builder.sample.drawing.scene import draw_scene
from lrs2m_builder.sample.texts import write_texts
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
    assert page.count("<details") == 3 and page.count('<img alt="Scene') == 3
    assert all(page.count(f"<h3>{recipe}</h3>") == 3 for recipe in SOURCES)
    assert f"lrs2m view {tmp_path / 'demo' / 'built'} --open" in page
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
    asked = "Is this true of the image: &ldquo;There are nine submarines in the image.&rdquo;"
    assert f"{asked} The judge says yes with a probability of <b>0.010</b>" in page
    built = rows(tmp_path / "demo" / "built" / "short_to_long")
    assert all("submarine" not in row["caption_long"] for row in built)


def test_a_refused_answer_is_shown_with_its_reason_and_the_second_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sorry_at_first(request: Request) -> Completion:
        is_refused = request.attempt == 1 and request.role == "mllm" and "geojson" in request.sample_id
        return replace(truth(request), text="I'm sorry, but I cannot help with it.") if is_refused else truth(request)

    page = run(tmp_path / "demo", believing(sorry_at_first), monkeypatch).read_text()
    shown = page[page.index("By a check: asked again") :]
    assert 0 < shown.index("I&#39;m sorry") < shown.index("What the model was told") < shown.index("The answer refused")
    kept = shown.index("The text that is kept")
    assert rows(tmp_path / "demo" / "built" / "vector_anchored")[0]["caption_long"] in shown[kept:]
    # The answers are not asked for again, and still on the page.
    again = run(tmp_path / "demo", believing(truth), monkeypatch).read_text()
    assert "By a check: asked again" in again


def test_a_second_run_goes_on_from_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path / "demo", believing(truth), monkeypatch)
    module = believing(truth)
    assert run(tmp_path / "demo", module, monkeypatch).is_file()
    assert not module.requests
