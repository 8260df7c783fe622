"""Fixtures that several test files share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
opened: list[str] = []
watching = False


def _note_open(event: str, arguments: tuple[Any, ...]) -> None:
    if watching and event == "open" and isinstance(arguments[0], str):
        opened.append(arguments[0])


sys.addaudithook(_note_open)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the real engine first: with two processes, one is not left alone with them at the end."""
    slow = {item.path for item in items if item.get_closest_marker("vllm")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real remote-sensing data; a test that asks for it is skipped where it is absent."""
    folder = Path(os.environ.get("LRS2M_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no folder of real data at {folder}; set LRS2M_REAL_DATA to it")
    return folder


@pytest.fixture
def files_opened() -> Iterator[list[str]]:
    """Paths of the files that Python opens meanwhile."""
    global watching
    opened.clear()
    watching = True
    yield opened
    watching = False
