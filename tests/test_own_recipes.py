"""A manifest, recipe or prompt of one's own that is wrong is one line, said before any model is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.declared.recipe import load_recipe
from lrs2m_builder.declared.shipped import find
from lrs2m_builder.errors import UserError
from tests.fake_engine import FakeModule
from tests.toy import ROOT, make_source, toy_options


@pytest.mark.parametrize(
    "changes",
    [
        {"files": {"annotations": ["a.json"], "images": ["imgs/{file_name}"]}},
        {"files": {"annotations": ["a.json"], "images": ["imgs/{index}"]}},
        {"files": {"annotations": ["a.json"], "images": ["imgs/{filename"]}},
        {"files": {"annotations": ["a.json"], "images": []}},
        {"files": {"annotations": ["/abs/x"], "images": ["{filename}"]}},
        {"files": {"annotations": [""], "images": ["{filename}"]}},
        {"files": {"annotations": ["**x"], "images": ["{filename}"]}},
        {"numbering": {"per_class": 0, "classes": ["a"]}},
        {"bands": [0, 1, 2]},
        {"bands": ["B04", "B03", 2]},
        {"panel": {"number": 3, "of": 2}},
        {"panel": {"number": 0, "of": 2}},
    ],
    ids=str,
)
def test_a_manifest_mistake_is_one_line(tmp_path: Path, changes: dict[str, Any]) -> None:
    manifest = yaml.safe_load(find("manifests", "sydney").read_text())
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(manifest | changes))
    with pytest.raises(UserError, match=r"mine\.yaml: ") as caught:
        load_manifest(str(path))
    assert "\n" not in str(caught.value)


def test_a_key_given_twice_in_a_manifest_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("name: a\ntitle: A\nname: b\n")
    with pytest.raises(UserError, match=r"twice\.yaml: not YAML: key 'name' twice in .*line 3"):
        load_manifest(str(path))


def test_a_variable_used_only_when_asked_again_is_found_beforehand(tmp_path: Path) -> None:
    from lrs2m_builder.build.prepare import prepare

    recipe = (ROOT / "recipes" / "short_to_long.py").read_text().replace('"short_to_long.v1"', '"mine.jinja"')
    (tmp_path / "mine.py").write_text(recipe)
    (tmp_path / "mine.jinja").write_text("Describe. {{ image }} {{ hints[0] }}{% if problem %}{{ nosuch }}{% endif %}")
    with pytest.raises(UserError, match="'nosuch' is undefined"):
        prepare(toy_options(make_source(tmp_path, 2), tmp_path / "out", recipe=str(tmp_path / "mine.py")), FakeModule())


@pytest.mark.parametrize("line", ["import sys; sys.exit(3)", "RECIPE = Recipe('x', 1, (), (), steps=(1))"])
def test_a_recipe_of_ones_own_that_misbehaves_is_one_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"from lrs2m_builder.declared.recipe import Recipe\n{line}\n")
    with pytest.raises(UserError, match=r"mine\.py"):
        load_recipe(str(path))


@pytest.mark.parametrize(
    "text", ["{% if hints | length > 9 %}{{ image }}{% endif %}", "{% for hint in 'ab' %}{{ image }}{% endfor %}"]
)
def test_an_image_that_stands_in_a_branch_or_loop_is_found_beforehand(tmp_path: Path, text: str) -> None:
    from lrs2m_builder.build.prepare import prepare

    recipe = (ROOT / "recipes" / "short_to_long.py").read_text().replace('"short_to_long.v1"', '"mine.jinja"')
    (tmp_path / "mine.py").write_text(recipe)
    (tmp_path / "mine.jinja").write_text("Describe it. " + text)
    with pytest.raises(UserError, match=r"\{\{ image \}\} was rendered [02] times"):
        prepare(toy_options(make_source(tmp_path, 2), tmp_path / "out", recipe=str(tmp_path / "mine.py")), FakeModule())


def test_a_recipe_of_ones_own_may_define_dataclasses(tmp_path: Path) -> None:
    recipe = (
        (ROOT / "recipes" / "merge.py").read_text().replace('"""\n\n', '"""\n\nfrom __future__ import annotations\n', 1)
    )
    path = tmp_path / "mine.py"
    path.write_text(recipe + "\nfrom dataclasses import dataclass\n\n@dataclass\nclass Own:\n    name: str\n")
    assert load_recipe(str(path)).name == "merge"
