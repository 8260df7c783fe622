"""Text from outside never commands the terminal: one gate for results, one for messages, one for errors."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

import pytest

from lrs2m_builder.errors import UserError
from lrs2m_builder.terminal import say, show
from lrs2m_builder.text import printable
from tests.export_data import row, write_rows
from tests.in_process import lrs2m

EVIL = {
    "colour": "\x1b[31mred",
    "title": "\x1b]0;owned\x07",
    "one-byte escape": "\x9b2J",
    "backspaces": "rm\x08\x08ls",
    "carriage return": "100 %\r0 %",
    "direction": "\u202etxt.exe",
    "isolate": "\u2067x\u2069",
    "line separator": "a\u2028error: b",
    "delete": "a\x7f",
}
COMMANDS_A_TERMINAL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.mark.parametrize("evil", EVIL.values(), ids=EVIL)
def test_what_commands_a_terminal_is_shown_as_an_escape(evil: str) -> None:
    shown = printable(evil)
    assert not COMMANDS_A_TERMINAL.search(shown)
    assert json.loads(f'"{shown}"') == evil


def test_no_control_character_of_unicode_passes_but_tab_and_newline() -> None:
    every = "".join(map(chr, range(0x11000)))
    passed = {one for one in printable(every) if unicodedata.category(one) in {"Cc", "Cs", "Zl", "Zp"}}
    assert passed == {"\t", "\n"}


def test_plain_text_of_any_script_is_left_as_it_is() -> None:
    text = "Two ships — 船, корабль, πλοίο, سفينة, 🚢;\tone line\nand another"
    assert printable(text) == text


def test_a_name_in_one_line_cannot_begin_another() -> None:
    assert printable("a\nerror: b\tc", one_line=True) == "a\\nerror: b\\tc"


@pytest.mark.parametrize("tell", [say, show])
def test_messages_and_results_go_through_the_gate(tell: object, capfd: pytest.CaptureFixture[str]) -> None:
    assert callable(tell)
    tell("\x1b[2Jname\udc80")
    out, err = capfd.readouterr()
    assert out + err == "\\u001b[2Jname\\udc80\n"


@pytest.mark.parametrize("column", ["subset", "recipe", "license", "short_source", "warnings", "sample_id", "model"])
@pytest.mark.parametrize("command", ["stats", "export", "audit", "publish"])
def test_foreign_rows_reach_no_terminal_with_escapes(tmp_path: Path, command: str, column: str) -> None:
    evil = "x/" + "".join(EVIL.values())
    value = [evil] if column == "warnings" else evil
    write_rows(tmp_path / "d" / "a.parquet", [row(1, **{"recipe": "r", "license": "l", column: value})])
    arguments = {
        "stats": ["stats", tmp_path / "d"],
        "export": ["export", tmp_path / "d", tmp_path / "e", "--to", "json"],
        "audit": ["audit", tmp_path / "d"],
        "publish": ["publish", tmp_path / "d", "--repo-id", "me/it", "--dry-run"],
    }[command]
    made = lrs2m(*arguments)
    assert not COMMANDS_A_TERMINAL.search(made.out + made.err)


def test_an_error_is_one_line_without_escapes_whatever_the_name_holds(tmp_path: Path) -> None:
    line = lrs2m("stats", tmp_path / "no\n\x1b[31msuch\u202e").error
    assert not COMMANDS_A_TERMINAL.search(line) and "no\\n\\u001b[31msuch\\u202e" in line


def test_wrong_usage_with_escapes_is_one_line_without(tmp_path: Path) -> None:
    assert not COMMANDS_A_TERMINAL.search(lrs2m("stats", tmp_path, "--\x1b[31m").error)


def test_json_is_printed_with_escapes_that_json_reads_back(tmp_path: Path) -> None:
    evil = "".join(EVIL.values())
    write_rows(tmp_path / "a.parquet", [row(1, license=evil)])
    made = lrs2m("stats", tmp_path, "--json")
    assert not COMMANDS_A_TERMINAL.search(made.out)
    assert evil in json.loads(made.out)["total"]["licenses"]


def test_an_error_of_a_library_with_many_lines_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_: object) -> None:
        raise UserError("first\nsecond")

    monkeypatch.setattr("lrs2m_builder.dataset.stats.read_stats", fail)
    assert lrs2m("stats", tmp_path).error == "error: first\\nsecond"


def test_lrs2m_alone_shows_its_commands_and_where_to_begin() -> None:
    made = lrs2m()
    assert made.code == 0 and "build" in made.out and made.out.strip().endswith("lrs2m demo")


def test_wrong_usage_names_the_help_of_its_own_command(tmp_path: Path) -> None:
    assert lrs2m("stats", tmp_path, "--papers").error.endswith("(try: lrs2m stats --help)")
    assert lrs2m("eval", "zic").error.endswith("(try: lrs2m eval zic --help)")
