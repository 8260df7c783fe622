"""The command lines of docs/models-to-use.md are ones that the program takes."""

from __future__ import annotations

import shlex

import pytest
import typer.main

from lrs2m_builder.cli import app
from lrs2m_builder.declared.recipe import load_recipe
from lrs2m_builder.declared.shipped import find
from lrs2m_builder.engines import engine_module
from lrs2m_builder.engines._options import parse_options
from tests.toy import ROOT

PAGE = (ROOT / "docs" / "models-to-use.md").read_text()
LINES = [line.strip() for line in PAGE.splitlines() if line.startswith("    lrs2m ")]


def test_ten_models_have_a_command_line() -> None:
    models = {shlex.split(line)[shlex.split(line).index("--model") + 1] for line in LINES}
    assert len(models) == 10
    assert all(line.startswith("lrs2m build ") for line in LINES)


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.split("--model ")[1].split()[0])
def test_a_command_line_is_parsed_and_its_options_are_taken(line: str) -> None:
    command = typer.main.get_command(app).commands["build"]  # type: ignore[attr-defined]
    given = command.make_context("build", shlex.split(line)[2:]).params
    options = parse_options("--engine-option", given["engine_option"] or ())
    options |= {"base_url": given["base_url"]} if given["base_url"] else {}
    sampling = parse_options("--sampling", given["sampling"] or ())
    recipe = load_recipe(given["recipe"]).with_settings({}, sampling)
    find("manifests", given["source"])
    engine_module(given["engine"]).check(given["model"], "mllm", options, [step.sampling for step in recipe.steps])


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.split("--model ")[1].split()[0])
def test_a_model_that_always_thinks_is_given_room(line: str) -> None:
    thinks = "-Thinking" in line or "enable_thinking: true" in line
    assert thinks == ("--sampling max_tokens=4000" in line)
