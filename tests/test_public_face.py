"""What users import stays importable: the public names, and the examples of docs/extending.md."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import lrs2m_builder
from lrs2m_builder.declared.recipe import load_recipe
from lrs2m_builder.exchange import Completion
from lrs2m_builder.sample.formats import write_sample_source
from tests.fake_engine import FakeModule
from tests.toy import ROOT, build_toy, make_source

PAGE = (ROOT / "docs" / "extending.md").read_text()
PUBLIC_MODULES = {"lrs2m_builder", "lrs2m_builder.checks", "lrs2m_builder.build", "lrs2m_builder.engines"}


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def imported(code: str) -> set[str]:
    nodes = ast.walk(ast.parse(code))
    return {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module} - {"__future__"}


def test_every_public_name_is_there_and_on_the_page() -> None:
    table = PAGE[: PAGE.index("## A recipe")]
    for name in lrs2m_builder.__all__:
        assert getattr(lrs2m_builder, name) is not None
        assert f"`{name}`" in table
    assert set(lrs2m_builder.__all__) <= set(dir(lrs2m_builder))


def test_a_name_that_is_not_public_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'LoadedRecipe'"):
        _ = lrs2m_builder.LoadedRecipe


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.py")), ids=lambda path: path.stem)
def test_shipped_recipes_import_only_what_users_may(path: Path) -> None:
    ours = {name for name in imported(path.read_text()) if name.startswith("lrs2m_builder")}
    assert ours <= {"lrs2m_builder", "lrs2m_builder.checks"}


def test_examples_import_only_what_users_may() -> None:
    modules = set[str]().union(*map(imported, examples("python")))
    assert {name for name in modules if name.startswith("lrs2m_builder")} <= PUBLIC_MODULES


def test_the_recipe_of_the_page_builds_and_its_own_check_refuses(tmp_path: Path) -> None:
    (tmp_path / "roads.py").write_text(examples("python")[0])
    (tmp_path / "roads.jinja").write_text(examples("jinja")[0])
    source = make_source(tmp_path / "source", 2)
    recipe = load_recipe(str(tmp_path / "roads.py"))
    assert "no_road" in recipe.check_names

    def answers(text: str) -> FakeModule:
        return FakeModule(lambda request: Completion(text, "stop"))

    good = build_toy(
        source, tmp_path / "a", answers("A grey road crosses the field."), recipe=str(tmp_path / "roads.py")
    )
    assert good.records == 2
    bad = build_toy(source, tmp_path / "b", answers("A field with trees lies here."), recipe=str(tmp_path / "roads.py"))
    assert bad.rejections == {"no_road": 2}


def test_the_script_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_sample_source("world", tmp_path / "scenes", 3)
    exec(compile(examples("python")[1], "script.py", "exec"), {})
    assert capsys.readouterr().out == "3 {}\n"
