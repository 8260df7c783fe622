"""What makes the first hour pleasant: answers at once, no noise, the reason where one looks for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lrs2m_builder.commands._build_text import report_text
from lrs2m_builder.exchange import Completion
from lrs2m_builder.terminal import marked
from tests.fake_engine import FakeModule
from tests.in_process import lrs2m
from tests.toy import ROOT, build_toy, make_source


@pytest.mark.parametrize("words", [["nowhere"], [".", "--eval-data", "nowhere"]], ids=["data", "eval-data"])
def test_training_on_nothing_is_refused_before_torch_is_imported(words: list[str], tmp_path: Path) -> None:
    line = ["lrs2m", "train", *words, "--config", "tiny", "--out", str(tmp_path / "run")]
    code = f"""
import sys
from lrs2m_builder.cli import main
sys.argv = {line!r}
try:
    main()
except SystemExit as end:
    assert end.code == 2
assert "torch" not in sys.modules and "pyarrow" not in sys.modules
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == "error: nowhere: no such file or folder, and not a data set's Hub name (owner/name)\n"


def test_the_list_of_sources_says_what_the_manifests_say() -> None:
    from lrs2m_builder.declared.manifest import load_manifest

    lines = lrs2m("sources").out.splitlines()
    manifests = {line.split()[0]: load_manifest(line.split()[0]) for line in lines}
    assert lines == [f"{name:<12} {each.title} ({each.viewpoint})" for name, each in manifests.items()]


def test_another_limit_is_refused_without_the_hashes_that_follow_from_it(tmp_path: Path) -> None:
    source = make_source(tmp_path, 4)
    build_toy(source, tmp_path / "out")
    with pytest.raises(Exception, match="limit was unset, now 2") as refused:
        build_toy(source, tmp_path / "out", limit=2)
    assert "sha256" not in str(refused.value)


def test_statistics_of_a_wholly_rejected_build_say_so(tmp_path: Path) -> None:
    build_toy(make_source(tmp_path, 3), tmp_path / "out", FakeModule(lambda request: Completion("", "stop")))
    assert "it has no rows: all 3 samples were rejected" in lrs2m("stats", tmp_path / "out").error


def test_the_report_says_how_long_the_engine_took_to_start(tmp_path: Path) -> None:
    report = build_toy(make_source(tmp_path, 3), tmp_path / "out")
    assert report.run["start_s"] >= 0 and "engine started" not in report_text(report)
    report.run["start_s"] = 331.0
    assert "; engine started in 5m31s" in report_text(report)


def test_only_a_terminal_gets_colours_and_only_if_it_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert marked("error: no") == "error: no"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert marked("error: no") == "\x1b[31;1merror:\x1b[0m no" and marked("an error: no") == "an error: no"
    monkeypatch.setenv("NO_COLOR", "1")
    assert marked("error: no") == "error: no"
