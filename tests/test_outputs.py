"""No command writes over what it did not make, and one process at a time makes a thing."""

from __future__ import annotations

import errno
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lrs2m_builder.errors import UserError
from lrs2m_builder.files import disk_errors, finished_file
from lrs2m_builder.stores.outputs import MARK, check_own_picture, finished_folder, own_folder
from tests.export_data import row, write_rows
from tests.in_process import lrs2m
from tests.toy import ROOT


def data_set(folder: Path) -> Path:
    write_rows(folder / "data" / "a.parquet", [row(number) for number in range(3)])
    return folder


def users_folder(folder: Path) -> dict[str, bytes]:
    """A folder of someone's own files, under names that the commands use; returns its content."""
    for name in ("dataset.json", "report.html", "index.html", "audit.json", "images/0.png", "scenes/note.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"mine: {name}")
    return content(folder)


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    "arguments",
    [
        ["sample", "--scenes", "1", "--format", "karpathy", "--out"],
        ["sample", "--scenes", "1", "--format", "world", "--out"],
        ["demo", "--scenes", "1", "--out"],
        ["audit", "DATA", "--out"],
        ["export", "DATA", "--to", "json", "--images", "reference"],
        ["publish", "DATA", "--repo-id", "me/it", "--dry-run", "--dest"],
        ["experiment", "run", "table_ii", "--out"],
        ["eval", "all", "DATA", "--model", "none", "--out"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_no_command_writes_into_a_folder_of_other_files(tmp_path: Path, arguments: list[str]) -> None:
    before = users_folder(tmp_path / "used")
    data = str(data_set(tmp_path / "d"))
    line = lrs2m(*[data if word == "DATA" else word for word in arguments], tmp_path / "used").error
    assert str(tmp_path / "used") in line
    assert content(tmp_path / "used") == before


@pytest.mark.parametrize("name", ["lengths.png", "lengths.svg"])
def test_a_plot_is_not_drawn_over_another_picture(tmp_path: Path, name: str) -> None:
    data = data_set(tmp_path / "d")
    (tmp_path / name).write_bytes(b"\x89PNG mine")
    assert "was not drawn by lrs2m" in lrs2m("stats", data, "--plot", tmp_path / "lengths.png").error
    assert (tmp_path / name).read_bytes() == b"\x89PNG mine"


def test_a_plot_is_drawn_again_over_its_own_and_makes_its_folder(tmp_path: Path) -> None:
    data = data_set(tmp_path / "d")
    for _ in range(2):
        assert lrs2m("stats", data, "--plot", tmp_path / "new" / "lengths.png").code == 0


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_a_picture_over_a_link_or_a_text_is_refused(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").symlink_to(tmp_path / "nothing")
    with pytest.raises(UserError, match="already exists"), disk_errors(tmp_path):
        check_own_picture(tmp_path / f"a{suffix}")


def test_an_audit_is_made_again_in_its_own_folder(tmp_path: Path) -> None:
    data = data_set(tmp_path / "d")
    assert lrs2m("audit", data).code == 0 == lrs2m("audit", data).code
    assert (data / "audit" / MARK).is_file()


@pytest.mark.parametrize("mark", ["", "{", "[]", '{"made_by": "lrs2m demo"}'])
def test_a_mark_of_another_kind_is_no_mark(tmp_path: Path, mark: str) -> None:
    (tmp_path / "note.txt").write_text("mine")
    (tmp_path / MARK).write_text(mark)
    with pytest.raises(UserError, match=r"did not make, such as note\.txt"), own_folder(tmp_path, "audit"):
        pass


@pytest.mark.parametrize("make", ["file", "full", "link"])
def test_a_finished_folder_takes_no_place_that_is_taken(tmp_path: Path, make: str) -> None:
    place = tmp_path / "place"
    if make == "file":
        place.write_text("mine")
    elif make == "full":
        users_folder(place)
    else:
        place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="already exists"), finished_folder(place):
        pass


def test_an_empty_folder_and_a_link_to_one_are_taken(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with finished_folder(tmp_path / "link") as part:
        (part / "a").write_text("a")
    assert content(tmp_path / "real") == {"a": b"a"} and (tmp_path / "link").is_symlink()


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    users_folder(tmp_path / ".place.part")
    with finished_folder(tmp_path / "place") as part:
        (part / "a").write_text("a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["place"]
    assert content(tmp_path / "place") == {"a": b"a"}


def _hold(place: Path, kind: str, held: object, go: object) -> None:
    manager = finished_folder(place, "export") if kind == "finished" else own_folder(place, "audit")
    with manager as part:
        if part is not None:
            (part / "a").write_text("of the first")
        held.set()  # type: ignore[attr-defined]
        go.wait(60)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("finished", ["export", "DATA", "--to", "json"]),
        ("finished", ["publish", "DATA", "--repo-id", "me/it", "--dry-run", "--dest"]),
        ("finished", ["sample", "--scenes", "1", "--out"]),
        ("own", ["audit", "DATA", "--out"]),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_two_processes_do_not_share_a_place(tmp_path: Path, kind: str, arguments: list[str]) -> None:
    data, place = str(data_set(tmp_path / "d")), tmp_path / "place"
    spawn = multiprocessing.get_context("spawn")
    held, go = spawn.Event(), spawn.Event()
    first = spawn.Process(target=_hold, args=(place, kind, held, go))
    first.start()
    try:
        assert held.wait(60)
        line = lrs2m(*[data if word == "DATA" else word for word in arguments], place).error
        assert f"(process {first.pid}) is writing there" in line
    finally:
        go.set()
        first.join(60)
    assert first.exitcode == 0
    assert kind == "own" or content(place) == {"a": b"of the first"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_a_write_that_fails_names_the_place_and_what_to_do(tmp_path: Path, number: int) -> None:
    with pytest.raises(UserError, match=f"^{tmp_path}/a: .*; finished files are safe: fix the disk"):  # noqa: SIM117
        with finished_file(tmp_path / "a"):
            raise OSError(number, os.strerror(number))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file", "/elsewhere/source.tar"),
        PermissionError(errno.EACCES, "Permission denied", b"/elsewhere/bytes"),
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        TimeoutError("timed out"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_failure_of_a_source_or_the_network_is_not_called_the_disks(tmp_path: Path, error: OSError) -> None:
    with pytest.raises(UserError) as told, disk_errors(tmp_path / "out"):
        raise error
    assert "fix the disk" not in str(told.value) and "is not finished" in str(told.value)
    assert error.filename is None or os.fsdecode(error.filename) in str(told.value)


@pytest.mark.parametrize("below", ["", "/inside", "/../.out.part/inside"])
def test_a_failure_at_or_below_the_place_is_the_disks(tmp_path: Path, below: str) -> None:
    name = os.path.normpath(f"{tmp_path}/out{below}")
    with pytest.raises(UserError, match="fix the disk"), disk_errors(tmp_path / "out"):
        raise PermissionError(errno.EACCES, "Permission denied", name)


def test_a_killed_export_is_made_anew_by_the_same_command(tmp_path: Path) -> None:
    write_rows(tmp_path / "d" / "a.parquet", [row(number) for number in range(4000)], row_group_size=100)
    command = [sys.executable, "-m", "lrs2m_builder.cli", "export", str(tmp_path / "d"), str(tmp_path / "e"), "--to"]
    process = subprocess.Popen([*command, "json"], cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / ".e.part").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.kill()
    process.wait()
    (tmp_path / ".e.part").mkdir(exist_ok=True)  # what the kill left, also where it came too early or too late
    if (tmp_path / "e").exists():
        return
    assert lrs2m("export", tmp_path / "d", tmp_path / "e", "--to", "json").code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "e"]


def test_a_folder_whose_mark_was_half_written_by_a_killed_run_is_still_the_commands_own(tmp_path: Path) -> None:
    (tmp_path / f".{MARK}.part").write_text('{"made')
    with own_folder(tmp_path, "audit"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != ".lock") == [MARK]
