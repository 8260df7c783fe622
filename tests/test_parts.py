"""Parts of one build, at the same time or in any order, in one folder: the data set of one process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lrs2m_builder.build.options import parse_part
from lrs2m_builder.errors import UserError
from lrs2m_builder.stores.folder import FolderStore
from lrs2m_builder.stores.holding import held
from tests.fake_engine import FakeModule
from tests.test_vector_anchored import answer, labelled
from tests.toy import ROOT, build_toy, file_bytes, make_source


def test_parts_make_what_one_process_makes_and_the_plain_command_reports(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", 30)
    build_toy(source, tmp_path / "whole", max_attempts=1)
    reports = [build_toy(source, tmp_path / "out", part=(number, 2), max_attempts=1) for number in (2, 1)]
    assert [(report.part, report.samples, report.shards) for report in reports] == [("2/2", 10, 1), ("1/2", 20, 2)]
    assert not (tmp_path / "out" / "report.json").exists()
    module = FakeModule()
    last = build_toy(source, tmp_path / "out", module, max_attempts=1)
    assert not module.engines and last.samples == 30
    assert file_bytes(tmp_path / "out") == file_bytes(tmp_path / "whole")
    assert not (tmp_path / "out" / "staging").exists()


def test_parts_of_a_round_of_retries_are_one_round(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", 20)
    for out in ("out", "whole"):
        build_toy(source, tmp_path / out, max_attempts=1)
    build_toy(source, tmp_path / "whole", max_attempts=1, retry_rejected=True)
    for number in (1, 2):
        build_toy(source, tmp_path / "out", max_attempts=1, retry_rejected=True, part=(number, 2))
    module = FakeModule()
    build_toy(source, tmp_path / "out", module, max_attempts=1)
    assert not module.requests
    assert file_bytes(tmp_path / "out") == file_bytes(tmp_path / "whole")


def test_a_part_takes_its_shards_through_both_passes(tmp_path: Path) -> None:
    source = labelled(tmp_path / "source", 9)
    name = Path("openlandmap")
    options: dict[str, Any] = {"recipe": "vector_anchored", "data_dir": source, "model": None, "shard_size": 3}
    build_toy(name, tmp_path / "whole", FakeModule(answer), **options)
    for number in (1, 2):
        module = FakeModule(answer)
        build_toy(name, tmp_path / "out", module, part=(number, 2), **options)
        assert [engine.model for engine in module.engines] == [
            "Qwen/Qwen2-VL-7B-Instruct",
            "Qwen/Qwen2.5-7B-Instruct",
        ]
    build_toy(name, tmp_path / "out", FakeModule(answer), **options)
    assert file_bytes(tmp_path / "out") == file_bytes(tmp_path / "whole")


def test_a_part_is_built_once_at_a_time_and_not_beside_a_whole_build(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    with held(store, (1, 3)), held(store, (2, 3)):
        for part in ((1, 3), (1, 2), None):
            with pytest.raises(UserError, match=r"another build.* is writing there; wait for it"), held(store, part):
                pass
    with held(store, None), pytest.raises(UserError, match="is writing there"), held(store, (1, 3)):
        pass
    with held(store, (1, 3)):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {".lock"}


def test_the_temporary_file_of_another_part_is_left_alone(tmp_path: Path) -> None:
    source, out = make_source(tmp_path / "source", 30), tmp_path / "out"
    ours, other = (out / "data" / "toy" / f".train-0000{number}.parquet.host-1-a.part" for number in (0, 1))
    build_toy(source, out, part=(1, 3))
    for path in (ours, other):
        path.write_text("half")
    build_toy(source, out, part=(1, 3))
    assert (ours.exists(), other.exists()) == (False, True)


@pytest.mark.parametrize("text", ["", "1", "0/3", "4/3", "-1/3", "1/0", "a/b", "1/3/5", "1.5/3", " 1/3"])
def test_a_part_that_is_none_is_one_line(text: str) -> None:
    with pytest.raises(UserError, match=r"write I/N with I from 1 to N"):
        parse_part(text)
    assert parse_part("3/3") == (3, 3)


def test_a_part_cannot_restart_the_whole(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", 3)
    with pytest.raises(UserError, match=r"--restart: not with --part"):
        build_toy(source, tmp_path / "out", part=(1, 2), restart=True)


def test_three_parts_killed_at_random_end_as_one_process(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.scale_campaign", "--folder", "--kills", "6"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
