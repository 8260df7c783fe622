"""A local folder as a store: what only a folder does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lrs2m_builder.errors import UserError
from lrs2m_builder.stores.folder import FolderStore


def test_no_temporary_file_remains(tmp_path: Path) -> None:
    store, file = FolderStore(tmp_path / "store"), tmp_path / "file"
    for text in ("first", "other"):
        file.write_text(text)
        store.publish("a", file)
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["a"]


def test_a_link_whose_answer_was_lost_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def lost(source: Path, target: Path) -> None:
        link(source, target)
        raise FileExistsError(17, "File exists")  # NFS tries again after a lost answer

    monkeypatch.setattr(os, "link", lost)
    (tmp_path / "file").write_text("rows")
    store = FolderStore(tmp_path / "store")
    assert store.publish("a", tmp_path / "file") and store.read("a") == b"rows"


def test_a_file_system_without_hard_links_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    with pytest.raises(UserError, match="no hard links"):
        FolderStore(tmp_path).check()
    assert not list(tmp_path.iterdir())


def test_a_file_in_place_of_the_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("rows")
    with pytest.raises(UserError, match="file"):
        FolderStore(tmp_path / "file").check()
