"""What the command line shows: help that fits the screen, examples that parse, completion of the shell."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from lrs2m_builder.cli import app
from lrs2m_builder.commands.help import parameter_rows
from tests.in_process import lrs2m
from tests.toy import ROOT

ROOT_COMMAND = typer.main.get_command(app)
FIRST_SENTENCE = 45  # characters that the shell and the list of commands show


def commands(command: Any = ROOT_COMMAND, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All groups and commands, by their words."""
    yield words, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*words, name))


COMMANDS = dict(commands())
GROUPS = [words for words, command in COMMANDS.items() if hasattr(command, "commands")]
EXAMPLES = [line for command in COMMANDS.values() for line in command.epilog.splitlines()]


def name_of(words: tuple[str, ...]) -> str:
    return " ".join(("lrs2m", *words))


def complete(words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What bash asks when a person presses Tab after some words."""
    typed = words.split(" ")
    asked = {"_LRS2M_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(typed) - 1)}
    script = "from lrs2m_builder.cli import main; main()"
    command = [sys.executable, *shlex.split(environment.pop("flags", "")), "-c", script]
    settings = {**os.environ, **asked, **environment}
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=settings)


@pytest.mark.parametrize("words", COMMANDS, ids=name_of)
def test_a_first_sentence_is_short(words: tuple[str, ...]) -> None:
    first = COMMANDS[words].help.split("\n")[0]
    assert first.endswith(".") and len(first) <= FIRST_SENTENCE


@pytest.mark.parametrize("words", GROUPS, ids=name_of)
def test_a_list_of_commands_is_not_cut(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, listed = lrs2m(*words, "--help").out.split("Commands:\n")
    assert "..." not in listed and max(map(len, listed.splitlines())) <= 80


@pytest.mark.parametrize("words", COMMANDS, ids=name_of)
def test_an_option_shows_a_metavar_and_no_type(words: tuple[str, ...]) -> None:
    text = lrs2m(*words, "--help").out.split("Example:")[0]
    assert "<" not in text and "x>=" not in text and "x<=" not in text
    for parameter in COMMANDS[words].params:
        assert parameter.help
        assert parameter.metavar or parameter.is_flag


@pytest.mark.parametrize("words", COMMANDS, ids=name_of)
def test_a_flag_shows_one_form(words: tuple[str, ...]) -> None:
    assert not [row for row in parameter_rows(COMMANDS[words].params, "option") if "/" in row.name.split()[0]]


@pytest.mark.parametrize("width", ["80", "120"])
def test_help_uses_the_width_of_the_terminal(width: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", width)
    widest = max(map(len, lrs2m("build", "--help").out.splitlines()))
    assert int(width) - 15 < widest <= int(width)


@pytest.mark.parametrize("words", COMMANDS, ids=name_of)
def test_help_ends_with_an_example_of_the_command(words: tuple[str, ...]) -> None:
    lines = COMMANDS[words].epilog.splitlines()
    assert lines and all(line.startswith(name_of(words)) for line in lines)
    assert lrs2m(*words, "--help").out.rstrip().splitlines()[-1].strip() == lines[-1]


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_parses(line: str) -> None:
    words = shlex.split(line)[1:]
    command: Any = ROOT_COMMAND
    while hasattr(command, "commands"):
        name, *words = words
        command = command.commands[name]
    assert command.make_context(name, words).params


def test_a_wrong_choice_is_one_line_with_the_choices(tmp_path: Any) -> None:
    made = lrs2m("experiment", "run", "table_ii", "--scale", "huge", "--out", tmp_path)
    assert made.code == 2
    assert made.error == (
        "error: Invalid value for '--scale': 'huge' is not one of 'tiny', 'paper'. (try: lrs2m experiment run --help)"
    )


def test_bash_completes_commands_and_options_and_loads_nothing_heavy() -> None:
    assert complete("lrs2m ").stdout.split() == list(ROOT_COMMAND.commands)  # type: ignore[attr-defined]
    assert complete("lrs2m eval fig").stdout.split() == ["figure1", "figure2", "figure3"]
    made = complete("lrs2m build --re", flags="-X importtime")
    assert made.stdout.split() == ["--recipe", "--replicas", "--retry-rejected", "--restart", "--resume"]
    # pydantic is loaded by the option parser itself
    modules = {line.rpartition("|")[2].strip().partition(".")[0] for line in made.stderr.splitlines()}
    assert "typer" in modules
    assert not modules & {"torch", "transformers", "numpy", "pyarrow", "duckdb", "PIL", "rich"}


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("lrs2m build --recipe ", "short_to_long"),
        ("lrs2m build --source uc", "ucmerced"),
        ("lrs2m build --engine ", "vllm"),
        ("lrs2m build --images ", "embed"),
        ("lrs2m sources uc", "ucmerced"),
        ("lrs2m export a b --to ", "webdataset"),
        ("lrs2m train --config pa", "paper_b16"),
        ("lrs2m eval zic --model cl", "clip-b16"),
        ("lrs2m experiment run table_v", "table_vii"),
    ],
)
def test_bash_completes_values(words: str, value: str) -> None:
    assert value in complete(words).stdout.split()


@pytest.mark.parametrize(
    ("shell", "file"),
    [
        ("bash", ".bash_completions/lrs2m.sh"),
        ("zsh", ".zfunc/_lrs2m"),
        ("fish", ".config/fish/completions/lrs2m.fish"),
    ],
)
def test_completion_is_installed_for_the_shell(shell: str, file: str, tmp_path: Any) -> None:
    script = (
        f"import shellingham; shellingham.detect_shell = lambda: ({shell!r}, {shell!r})\n"
        "from lrs2m_builder.cli import main; main()"
    )

    def run(option: str) -> str:
        command = [sys.executable, "-c", script, option]
        settings = {**os.environ, "HOME": str(tmp_path)}
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=settings).stdout

    assert f"_LRS2M_COMPLETE=complete_{shell}" in run("--show-completion")
    assert f"{shell} completion installed" in run("--install-completion")
    assert "_LRS2M_COMPLETE" in (tmp_path / file).read_text()
