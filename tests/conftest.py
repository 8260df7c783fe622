"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real remote-sensing data; a test that asks for it is skipped where it is absent."""
    folder = Path(os.environ.get("LRS2M_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no folder of real data at {folder}; set LRS2M_REAL_DATA to it")
    return folder
