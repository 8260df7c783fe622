"""A folder has one writer, whoever else wants it: other processes, threads, and those who opened it before it moved."""

from __future__ import annotations

import multiprocessing
import threading
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from lrs2m_builder.errors import UserError
from lrs2m_builder.stores.lock import LOCK_NAME, locked, locked_file


def hold(folder: Path, held: Event, release: Event) -> None:
    """Of another process: hold a folder until told."""
    with locked(folder, "training"):
        held.set()
        release.wait(30)


def test_a_second_process_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    process = context.Process(target=hold, args=(tmp_path / "run", held, release))
    process.start()
    assert held.wait(30)
    with pytest.raises(UserError, match=rf"another training \(process {process.pid}\)"), locked(tmp_path / "run", "x"):
        pass
    release.set()
    process.join()
    with locked(tmp_path / "run", "training"):
        assert (tmp_path / "run").is_dir()


def test_two_threads_of_one_process_are_kept_apart(tmp_path: Path) -> None:
    said: list[str] = []

    def other() -> None:
        try:
            with locked(tmp_path, "export"):
                said.append("held")
        except UserError as error:
            said.append(str(error))

    with locked(tmp_path, "export"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert said == [f"{tmp_path}: another export of this process is writing there; wait for it or stop it"]
    with locked(tmp_path, "export"):
        pass


def test_a_refused_thread_does_not_drop_the_lock_of_the_first(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with locked(tmp_path, "build"):
        with pytest.raises(UserError), locked(tmp_path, "build"):
            pass
        held, release = context.Event(), context.Event()
        process = context.Process(target=hold, args=(tmp_path, held, release))
        process.start()
        process.join(30)
        assert not held.is_set() and process.exitcode == 1


def test_a_lock_on_a_folder_that_was_moved_away_is_taken_on_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    real_open, moved = Path.open, []

    def open_then_move(path: Path, *args: object, **kwargs: object) -> object:
        file = real_open(path, *args, **kwargs)  # type: ignore[arg-type]
        if not moved:  # another process sets the folder aside between the opening and the locking
            moved.append(folder.rename(tmp_path / "out.1"))
            folder.mkdir()
        return file

    monkeypatch.setattr(Path, "open", open_then_move)
    with locked(folder, "build"):
        assert "build" in (folder / LOCK_NAME).read_text()
        assert (tmp_path / "out.1" / LOCK_NAME).read_text() == ""


def test_a_lock_file_that_is_to_be_removed_is_gone_afterwards_and_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        with locked_file(tmp_path / ".dest.lock", "export", shown=tmp_path / "dest", remove=True):
            assert (tmp_path / ".dest.lock").exists()
        assert not (tmp_path / ".dest.lock").exists()
