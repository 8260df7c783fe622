"""What stands in the folder of a build in the place of its files: pipes, links, folders, and files that were edited."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lrs2m_builder.build.journal import Journal
from lrs2m_builder.dataset.tables import record_files, rejected_files
from lrs2m_builder.errors import UserError
from lrs2m_builder.exchange import Attempt
from lrs2m_builder.files import read_json
from lrs2m_builder.sources import karpathy_json
from lrs2m_builder.sources.vector_labels.files import load_json
from lrs2m_builder.stores.folder import FolderStore
from lrs2m_builder.stores.lock import locked
from tests.fake_engine import FakeModule
from tests.toy import ROOT, build_toy, file_bytes, make_source

DATA = Path("data/toy/train-00000.parquet")
REJECTED = Path("rejected/toy/train-00000.parquet")
NEXT = REJECTED.with_name(".train-00000.parquet.next")
JOURNAL = Path("journal/toy/train-00000.jsonl")
WAITS_AT_MOST_S = 120  # a hang is for ever; a busy machine may take a while to start Python


def a_folder(path: Path) -> None:
    (path / "inside").mkdir(parents=True)


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to(path.parent / "nothing")


def a_link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


ODD: list[Callable[[Path], Any]] = [a_folder, a_link_to_nothing, a_link_to_itself, os.mkfifo]


def built(tmp_path: Path, **changes: Any) -> tuple[Path, Path]:
    source, out = make_source(tmp_path / "source", 10), tmp_path / "out"
    build_toy(source, out, max_attempts=1, **changes)
    return source, out


def put(path: Path, make: Callable[[Path], Any]) -> None:
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    make(path)


def run_apart(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """The same build in a process that can be killed while it waits."""
    code = "import sys; from pathlib import Path; from tests.toy import build_toy; from lrs2m_builder.errors import *\n"
    code += (
        "try: build_toy(Path(sys.argv[1]), Path(sys.argv[2]), max_attempts=1)\nexcept UserError as e: sys.exit(str(e))"
    )
    command = [sys.executable, "-c", code, str(source), str(out)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WAITS_AT_MOST_S, check=False)


@pytest.mark.parametrize("make", ODD[:-1], ids=lambda make: make.__name__)
@pytest.mark.parametrize("file", [DATA, REJECTED, NEXT, JOURNAL], ids=str)
def test_what_is_no_file_in_the_place_of_one_is_set_aside_and_built_anew(
    tmp_path: Path, file: Path, make: Callable[[Path], Any]
) -> None:
    source, out = built(tmp_path)
    whole = file_bytes(out)
    put(out / file, make)
    build_toy(source, out, max_attempts=1)
    aside = out / file.with_name(f".{file.name}.damaged")
    assert os.path.lexists(aside), "what was there is kept under another name"
    if aside.is_dir():
        shutil.rmtree(aside)
    assert file_bytes(out) == whole


def test_pipes_in_a_build_are_not_waited_for(tmp_path: Path) -> None:
    source, out = built(tmp_path)
    whole = file_bytes(out)
    for file in (DATA, REJECTED, NEXT, JOURNAL, "report.json", "telemetry.jsonl"):
        put(out / file, os.mkfifo)
    run = run_apart(source, out)
    assert run.returncode == 0, run.stderr
    assert file_bytes(out) == whole


def test_settings_behind_a_pipe_are_refused(tmp_path: Path) -> None:
    source, out = built(tmp_path)
    put(out / "build.json", os.mkfifo)
    run = run_apart(source, out)
    assert (run.returncode, "a pipe (FIFO), not a regular file" in run.stderr) == (1, True)


@pytest.mark.parametrize("make", ODD, ids=lambda make: make.__name__)
def test_a_lock_that_is_no_file_is_named(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    source, out = built(tmp_path)
    put(out / ".lock", make)
    with pytest.raises(UserError, match=r"\.lock: not a regular file; move it away and run the same command again"):
        build_toy(source, out, max_attempts=1)


@pytest.mark.parametrize("make", [*ODD[1:], Path.touch], ids=lambda make: make.__name__)
@pytest.mark.parametrize("folder", ["data", "rejected/toy", "journal"])
def test_a_folder_of_a_build_that_is_none_is_named_before_anything_is_asked(
    tmp_path: Path, folder: str, make: Callable[[Path], Any]
) -> None:
    source, out = built(tmp_path)
    shutil.rmtree(out / folder, ignore_errors=True)  # a finished build has no journal
    make(out / folder)
    module = FakeModule()
    with pytest.raises(UserError, match=f"{folder}: not a folder, nor a link to one"):
        build_toy(source, out, module, max_attempts=1)
    assert not module.requests


def test_a_build_whose_manifest_was_edited_says_so_and_how_to_resume(tmp_path: Path) -> None:
    source, out = built(tmp_path)
    source.write_text(source.read_text() + "# a word more\n")
    with pytest.raises(
        UserError, match=r"the file of its manifest has changed .* resume with the files as they were, or"
    ):
        build_toy(source, out, max_attempts=1)


def test_settings_of_a_build_on_another_disk_may_not_change(tmp_path: Path) -> None:
    source, out = built(tmp_path)
    shutil.move(out / "data/toy", tmp_path / "elsewhere")
    (out / "data/toy").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="was built with other settings"):
        build_toy(source, out, max_attempts=2)


def test_a_stray_shard_behind_a_link_is_said(tmp_path: Path) -> None:
    source, out = built(tmp_path)
    shutil.copytree(out / "data/toy", tmp_path / "elsewhere")
    (out / "data/more").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"data/more/train-00000\.parquet: not a shard of this build"):
        build_toy(source, out, max_attempts=1)


def test_a_shard_of_another_seed_is_built_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = built(tmp_path)
    wanted = file_bytes(out / "data")
    build_toy(source, tmp_path / "other", max_attempts=1, seed=1)
    shutil.copy(tmp_path / "other" / DATA, out / DATA)
    shutil.copy(tmp_path / "other" / REJECTED, out / REJECTED)
    build_toy(source, out, max_attempts=1)
    assert "it belongs to a build with other settings" in capsys.readouterr().err
    assert file_bytes(out / "data") == wanted


def test_readers_follow_the_link_to_a_subset_on_another_disk_and_read_it_once(tmp_path: Path) -> None:
    _, out = built(tmp_path)
    files = record_files(out), rejected_files(out)
    for kind in ("data/toy", "rejected/toy"):
        shutil.move(out / kind, tmp_path / kind.replace("/", "-"))
        (out / kind).symlink_to(tmp_path / kind.replace("/", "-"))
    assert (record_files(out), rejected_files(out)) == files and len(files[0]) == len(files[1]) == 1
    (out / "data" / "toy" / "round").symlink_to(out / "data")
    assert record_files(out) == files[0]


@pytest.mark.parametrize("number", [-1, 10**30, float("inf"), float("nan"), 1.7, "1", True, None], ids=repr)
def test_a_round_that_is_no_number_is_said(tmp_path: Path, number: Any) -> None:
    source, out = built(tmp_path)
    begun = json.loads((out / "build.json").read_text())
    (out / "build.json").write_text(json.dumps(begun | {"round": {"number": number, "open": "yes"}}))
    with pytest.raises(UserError, match="its round cannot be read; was it edited"):
        build_toy(source, out, max_attempts=1)


def with_footer(path: Path, **changes: str) -> None:
    table, footer = pq.read_table(path), pq.read_metadata(path).metadata
    ours = {key.decode(): value.decode() for key, value in footer.items() if key.startswith(b"lrs2m.")}
    with pq.ParquetWriter(path, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(ours | {f"lrs2m.{key}": value for key, value in changes.items()})


def other_columns(path: Path) -> None:
    names = pq.read_metadata(path).num_rows
    pq.write_table(pa.table({"a": list(range(names))}), path)


@pytest.mark.parametrize("is_retry", [False, True])
@pytest.mark.parametrize(
    "harm",
    [other_columns, lambda path: with_footer(path, round="x"), lambda path: with_footer(path, round="-1")],
    ids=["other columns", "round x", "round -1"],
)
def test_a_shard_that_was_written_by_another_hand_is_built_anew(
    tmp_path: Path, harm: Callable[[Path], None], is_retry: bool
) -> None:
    source, out = built(tmp_path)
    whole = file_bytes(out)
    harm(out / DATA)
    build_toy(source, out, max_attempts=1, retry_rejected=is_retry)
    assert file_bytes(out) == whole


def test_rejections_of_other_columns_beside_an_early_shard_are_built_anew(tmp_path: Path) -> None:
    source, out = built(tmp_path)
    table = pq.read_table(out / DATA).replace_schema_metadata(None)
    pq.write_table(table, out / DATA)  # without a footer, as the first builds were
    other_columns(out / REJECTED)
    build_toy(source, out, max_attempts=1)
    assert "sample_id" in pq.read_schema(out / REJECTED).names


@pytest.mark.parametrize("text", [b'{"passed": Infinity}', b"[" * 200_000], ids=["infinity", "deep"])
def test_a_line_of_a_journal_that_no_reader_takes_is_dropped(tmp_path: Path, text: bytes) -> None:
    store = FolderStore(tmp_path)
    with Journal(store, "shard") as journal:
        journal.append(Attempt("a", 0, 1, 1, "text", "stop"))
    (path,) = (tmp_path / "shard").iterdir()
    with path.open("ab") as file:
        file.write(b"%08x %s\n" % (zlib.crc32(text), text))
    journal = Journal(store, "shard")
    assert (list(journal.attempts), journal.num_damaged) == (["a"], 1)


def test_json_without_an_end_of_its_brackets_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text("[" * 200_000)
    with pytest.raises(UserError, match="cannot be read"):
        read_json(path)


@pytest.mark.parametrize("is_restart", [False, True])
def test_a_place_that_is_a_link_to_itself_is_refused(tmp_path: Path, is_restart: bool) -> None:
    source, out = make_source(tmp_path / "source", 1), tmp_path / "out"
    a_link_to_itself(out)
    with pytest.raises(UserError, match=r"out: cannot be written"):
        build_toy(source, out, restart=is_restart)


def test_a_place_whose_name_is_no_utf8_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    module = FakeModule()
    with pytest.raises(UserError, match="its name is not UTF-8"):
        build_toy(make_source(tmp_path / "source", 1), tmp_path / "o\udcff", module)
    assert not module.requests


def test_a_lock_below_a_link_to_itself_is_one_line(tmp_path: Path) -> None:
    a_link_to_itself(tmp_path / "out")
    with pytest.raises(UserError, match=r"symbolic links|File exists"), locked(tmp_path / "out", "train"):
        pass


@pytest.mark.parametrize("read", [karpathy_json.read, load_json], ids=["captions", "labels"])
def test_a_number_of_thousands_of_digits_in_a_source_is_one_line(
    tmp_path: Path, read: Callable[[Path], Iterable[Any]]
) -> None:
    (tmp_path / "a.json").write_text(f'{{"images": [{"9" * 6000}]}}')
    with pytest.raises(UserError, match=r"a\.json: unreadable JSON"):
        list(read(tmp_path / "a.json"))
