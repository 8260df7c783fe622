"""Addresses such as s3://bucket/run on the command line: one line, exit code 2, and nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
import typer.main

from lrs2m_builder.cli import app
from lrs2m_builder.commands._addresses import FREE_TEXT, OPTIONS_OF_ENGINES
from lrs2m_builder.commands.help import make_group
from lrs2m_builder.errors import UserError
from tests.in_process import lrs2m

ADDRESS = "s3://bucket/run"


def commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not hasattr(command, "commands"):
        yield words, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*words, name))


def takes_value(parameter: Any) -> bool:
    return not getattr(parameter, "is_flag", False) and parameter.name != "help"


def is_free(parameter: Any) -> bool:
    return parameter.metavar in FREE_TEXT or parameter.name in OPTIONS_OF_ENGINES


def command_line(command: Any, parameter: Any, value: str) -> list[str]:
    """The words of a command with a value for this parameter, and something for each required one."""
    words = []
    for each in command.params:
        if each is not parameter and not each.required:
            continue
        word = value if each is parameter else each.metavar.partition("|")[0].strip("[]")
        words += [word] if each.param_type_name == "argument" else [each.opts[0], word]
    return words


COMMANDS = dict(commands(typer.main.get_command(app)))
PLACES = [
    pytest.param(words, parameter, id=" ".join((*words, parameter.name)))
    for words, command in COMMANDS.items()
    for parameter in command.params
    if takes_value(parameter) and not is_free(parameter)
]


@pytest.mark.parametrize(("words", "parameter"), PLACES)
def test_an_address_is_refused_wherever_a_path_or_name_is_taken(words: tuple[str, ...], parameter: Any) -> None:
    address = "gs://bucket/run" if "s3://" in parameter.metavar else ADDRESS  # some take s3://, and no other
    value = f"start={address}" if parameter.metavar == "KEY=VALUE" else address
    command = COMMANDS[words]
    with pytest.raises(UserError, match=address):
        command.make_context("lrs2m", command_line(command, parameter, value))  # before the command itself runs


@pytest.mark.parametrize("words", [("sample", "--format", "world", "--out"), ("export", "x")])
def test_nothing_is_written_for_an_address(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ADDRESS in lrs2m(*words, ADDRESS).error
    assert not list(tmp_path.iterdir())


def test_only_free_text_and_options_of_engines_may_begin_like_an_address() -> None:
    free = {
        each.name for command in COMMANDS.values() for each in command.params if takes_value(each) and is_free(each)
    }
    assert free == {"base_url", "engine_option", "image_prefix", "ray_address", "sampling", "system", "text", "where"}


@pytest.mark.parametrize("scheme", ["gs", "gcs", "az", "abfs", "hdfs", "http", "https", "file", "hf", "s3a", "FTP"])
@pytest.mark.parametrize("words", [("stats",), ("demo", "--out")], ids=["in", "out"])
def test_every_scheme_is_refused(scheme: str, words: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match=r"place/run|/PATH"):
        COMMANDS[words[:1]].make_context("lrs2m", [*words[1:], f"{scheme}://place/run"])


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (("view", "s3://b/run"), "copy it first: aws s3 cp --recursive s3://b/run FOLDER"),
        (("export", "x", "--to", "csv", "s3://b/run"), "copy it afterwards: aws s3 cp --recursive FOLDER s3://b/run"),
        (("stats", "gs://b/run"), "gcloud storage cp --recursive gs://b/run FOLDER"),
        (("stats", "file:///data/my%20run"), "give /data/my run"),
        (("stats", "hf://datasets/a/b"), "OWNER/NAME"),
        (("stats", "az://b/run"), "copy it first and give the folder"),
        (("audit", "x", "--against", "simplecache::s3://b/run"), "aws s3 cp"),
    ],
)
def test_a_refusal_says_what_to_do(words: tuple[str, ...], advice: str) -> None:
    assert advice in lrs2m(*words).error


def test_a_password_in_an_address_is_not_printed() -> None:
    error = lrs2m("stats", "https://me:secret@host/run?X-Amz-Signature=secret").error
    assert "https://host/run" in error and "secret" not in error and "me:" not in error


def test_an_endpoint_may_call_its_model_by_an_address() -> None:
    words = ("build", "--recipe", "merge", "--source", "no-such-source", "--out", "x", "--model", ADDRESS)
    assert ADDRESS in lrs2m(*words).error
    assert "no-such-source" in lrs2m(*words, "--engine", "openai", "--base-url", "http://127.0.0.1:9/v1").error


def test_a_folder_of_an_odd_name_is_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:" / "run").mkdir(parents=True)
    assert "address" not in lrs2m("stats", "s3:/run").error


def test_help_is_printed_beside_an_address() -> None:
    assert lrs2m("stats", ADDRESS, "--help").code == 0


def test_a_new_command_takes_the_addresses_that_its_metavar_names() -> None:
    taken: list[str] = []

    def toy(out: Annotated[str, typer.Option(metavar="DIR|s3://BUCKET", help="Place.")]) -> None:
        """Do it."""
        taken.append(out)

    group = typer.main.get_group(make_group("Toys.", {"toy": lambda: toy}, name="toys"))
    group(["toy", "--out", ADDRESS], standalone_mode=False)
    with pytest.raises(UserError, match="gs://bucket"):
        group(["toy", "--out", "gs://bucket"], standalone_mode=False)
    assert taken == [ADDRESS]
