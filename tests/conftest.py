"""Fixtures that several test files share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.object_server import Faults

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


@pytest.fixture(scope="session")
def ray_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Ray cluster with room for two replicas; it takes long to start, so tests share it."""
    pytest.importorskip("ray", reason="needs the extra 'ray'")
    from tests.replica_builds import two_raylets

    with two_raylets(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def files_opened() -> Iterator[list[str]]:
    """Paths of the files that Python opens meanwhile."""
    global watching
    opened.clear()
    watching = True
    yield opened
    watching = False


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, Faults]]:
    for package in ("s3fs", "moto", "flask_cors"):
        pytest.importorskip(package, reason=f"needs {package} (extras scale and dev)")
    from tests.object_server import object_server

    with object_server() as running:
        yield running


@pytest.fixture
def faults(server: tuple[str, Faults], monkeypatch: pytest.MonkeyPatch) -> Faults:
    address, faults = server
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "AKIATESTKEY",
        "AWS_SECRET_ACCESS_KEY": "verysecret",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    # Files of credentials: the user's own, or the one that a cluster of this process names.
    for name in ("AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    faults.reset()
    return faults
