from __future__ import annotations

from pathlib import Path

import pytest

from lrs2m_builder.build.plan import BuildPlan
from lrs2m_builder.build.prepare import prepare
from lrs2m_builder.build.prompt_lint import lint_prompts
from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.declared.recipe import load_recipe
from lrs2m_builder.declared.shipped import shipped_dir
from lrs2m_builder.schema import Anchor, Sample
from tests.fake_engine import FakeModule
from tests.toy import make_source, start_cli, toy_options

RECIPE = """
from lrs2m_builder.declared.recipe import Recipe, Step

VARIABLES = lambda sample, manifest: dict(view=manifest.view)
STEP = Step(prompt="mine.v1.jinja", role={role!r}, writes={writes!r}, variables=VARIABLES, checks=())
RECIPE = Recipe(name="mine", version=1, reads=(), given=(), steps=(STEP,))
"""
SAMPLE = Sample("toy/1", "toy", "1.jpg", Path("1.jpg"), ("A field.",), anchors=(Anchor("field", 1),))


def findings(folder: Path, prompt: str, *, role: str = "mllm", writes: str = "caption_long", source: str = "") -> str:
    """What is found in a prompt, in one string; `source` is a manifest, by default one of aerial images."""
    (folder / "mine.v1.jinja").write_text(prompt)
    (folder / "mine.py").write_text(RECIPE.format(role=role, writes=writes))
    manifest = load_manifest(source or str(make_source(folder, 1)))
    plan = BuildPlan(load_recipe(str(folder / "mine.py")), manifest, (("m", "1"),), "fake", 3, 0)
    return "\n".join(lint_prompts(plan, SAMPLE))


@pytest.mark.parametrize("recipe", sorted(path.stem for path in shipped_dir("recipes").glob("*.py")))
@pytest.mark.parametrize("manifest", sorted(path.stem for path in shipped_dir("manifests").glob("*.yaml")))
def test_shipped_prompts_have_no_finding_for_any_shipped_source(recipe: str, manifest: str) -> None:
    loaded = load_recipe(recipe)
    models = (("m", "1"),) * len(loaded.steps)
    assert not lint_prompts(BuildPlan(loaded, load_manifest(manifest), models, "fake", 3, 0), SAMPLE)


@pytest.mark.parametrize("word", ["north", "southeast", "South-West", "eastern", "west"])
def test_a_direction_of_the_map_is_found(tmp_path: Path, word: str) -> None:
    assert f'"{word}" is a compass direction' in findings(tmp_path, f"{{{{ image }}}} Say what lies to the {word}.")


def test_a_forbidden_direction_is_no_finding(tmp_path: Path) -> None:
    assert not findings(tmp_path, "{{ image }} Never write north or south. Describe it.")


@pytest.mark.parametrize("word", ["satellite", "drone", "UAV"])
def test_the_word_for_another_view_is_found(tmp_path: Path, word: str) -> None:
    assert f'"{word}" does not match the view of toy (aerial image)' in findings(
        tmp_path, f"{{{{ image }}}} Caption the {word} image."
    )


def test_the_word_for_the_view_that_the_source_has_is_no_finding(tmp_path: Path) -> None:
    assert not findings(tmp_path, "{{ image }} Caption the aerial image.")


def test_words_that_a_sample_fills_in_are_not_judged(tmp_path: Path) -> None:
    assert not findings(tmp_path, "{{ image }} Caption the {{ view }}: {{ caption_short }}", source="crowdai")


def test_a_summary_that_would_send_the_image_is_found(tmp_path: Path) -> None:
    prompt = "{{ image }} Give the essence of: {{ caption_long }}"
    assert "yet sends the image" in findings(tmp_path, prompt, writes="caption_short")
    assert 'asks to "Summarize", yet sends the image' in findings(tmp_path, "{{ image }} Summarize this.")


def test_a_text_only_step_that_asks_to_look_is_found(tmp_path: Path) -> None:
    assert 'asks to "Describe the image"' in findings(tmp_path, "Describe the image: {{ caption_long }}", role="llm")
    assert not findings(tmp_path, "Summarize the image caption: {{ caption_long }}", role="llm")


def test_an_unknown_variable_in_a_branch_not_taken_is_found(tmp_path: Path) -> None:
    prompt = "{{ image }} {% if caption_short == 'x' %}{{ wether }}{% endif %}"
    assert "no variable 'wether'; known: caption_long, caption_short, gsd, month, platform, problem, view" in findings(
        tmp_path, prompt
    )


def test_dry_run_and_build_show_the_findings(tmp_path: Path) -> None:
    findings(tmp_path, "{{ image }} What lies north? {{ caption_short }}")
    source, recipe = tmp_path / "toy.yaml", str(tmp_path / "mine.py")
    assert "north" in prepare(toy_options(source, tmp_path / "out", recipe=recipe), FakeModule()).lint[0]
    out, errors = start_cli(
        source, tmp_path / "out", "--recipe", recipe, "--dry-run", log=tmp_path / "log"
    ).communicate()
    assert 'warning    prompt mine.v1: "north"' in out, errors
    out, errors = start_cli(source, tmp_path / "out", "--recipe", recipe, log=tmp_path / "log").communicate()
    assert 'warning: prompt mine.v1: "north"' in errors
