"""`lrs2m publish` on its way to the Hub: all of it arrives, once, through every fault, and no token is told."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lrs2m_builder.dataset.publish.run import publish
from lrs2m_builder.dataset.publish.upload import STATE, upload_tree
from lrs2m_builder.errors import UserError
from tests.fake_hub import TOKEN, FakeHub, Fault, Repo, fake_hub
from tests.toy import ROOT, build_toy, make_source


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of the toy subset, some of whose images are missing."""
    folder = tmp_path_factory.mktemp("publish")
    build_toy(make_source(folder / "data", 25, missing=(3, 4)), folder / "toy")
    return folder / "toy"


@pytest.fixture(scope="module")
def made(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of the toy subset; uploads of the same data use it again."""
    dest = tmp_path_factory.mktemp("made") / "dest"
    publish([toy], "me/data", dest=dest, dry_run=True)
    return dest


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with fake_hub() as running:
        yield running


def run(
    hub: FakeHub, home: Path, *arguments: str, xet: bool = False, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The real command line with the real client in a process of its own."""
    own = {
        "HF_ENDPOINT": hub.endpoint,
        "HF_TOKEN": TOKEN,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": str(int(not xet)),
    }
    command = [sys.executable, "-m", "lrs2m_builder.cli", "publish", "--repo-id", "me/data", *arguments]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **own, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def arrived(hub: FakeHub, dest: Path) -> bool:
    """Whether the Hub has exactly the files of the tree."""
    here = {str(path.relative_to(dest)): path for path in dest.rglob("*") if path.is_file() and path.name != STATE}
    files = hub.repos["dataset", "me/data"].files
    return files.keys() == here.keys() and all(hub.content("me/data", name) == here[name].read_bytes() for name in here)


def test_what_is_published_is_the_tree_and_a_second_run_sends_nothing(
    hub: FakeHub, toy: Path, made: Path, tmp_path: Path
) -> None:
    arguments = (str(toy), "--dest", str(made), "--private")
    first = run(hub, tmp_path / "home", *arguments)
    assert first.returncode == 0, first.stderr
    assert arrived(hub, made)
    assert hub.repos["dataset", "me/data"].private
    asked = hub.asked.copy()
    second = run(hub, tmp_path / "home", *arguments)
    assert "nothing new for" in second.stdout
    assert hub.asked == asked


def test_the_clients_own_way_through_xet_works_and_sends_nothing_twice(
    hub: FakeHub, toy: Path, made: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        result = run(hub, tmp_path / "home", str(toy), "--dest", str(made), xet=True)
        assert result.returncode == 0, result.stderr
    tree_ = {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()}
    assert hub.repos["dataset", "me/data"].files.keys() == tree_ - {STATE}
    assert hub.asked["commit"] == 1
    assert set(hub.xorbs.values()) == {1}


def test_an_upload_survives_a_dropped_connection_and_a_busy_hub(
    hub: FakeHub, toy: Path, made: Path, tmp_path: Path
) -> None:
    hub.faults = [
        Fault("POST", "/api/repos/create", 429, {"Retry-After": "2"}),
        Fault("PUT", "/lfs/"),
        Fault("POST", "/preupload/", 503),
        Fault("POST", "/commit/"),
    ]
    start = time.monotonic()
    result = run(hub, tmp_path / "home", str(toy), "--dest", str(made))
    assert result.returncode == 0, result.stderr
    assert time.monotonic() - start > 2
    assert not any(fault.times for fault in hub.faults)
    assert arrived(hub, made)
    assert hub.asked["commit"] == 1


def test_an_interrupted_upload_goes_on_where_it_stopped(hub: FakeHub, toy: Path, made: Path, tmp_path: Path) -> None:
    hub.faults = [Fault("POST", "/commit/", 400)]
    arguments = (str(toy), "--dest", str(made))
    assert run(hub, tmp_path / "home", *arguments).returncode == 2
    sent, time_made = hub.asked["PUT lfs"], (made / STATE).stat().st_mtime_ns
    assert run(hub, tmp_path / "home", *arguments).returncode == 0
    assert hub.asked["PUT lfs"] == sent > 0
    assert (made / STATE).stat().st_mtime_ns == time_made
    assert arrived(hub, made)


def test_shards_of_an_earlier_version_go_away(hub: FakeHub, toy: Path, made: Path, tmp_path: Path) -> None:
    old = {
        "data/old/train-00000-of-00001.parquet": ("0" * 64, 3),
        "notes.md": ("1" * 40, 3),
        ".gitattributes": ("2" * 40, 3),
    }
    hub.repos["dataset", "me/data"] = Repo("dataset", files=dict(old))
    assert run(hub, tmp_path / "home", str(toy), "--dest", str(made)).returncode == 0
    files = hub.repos["dataset", "me/data"].files
    assert files.keys() & old.keys() == {"notes.md", ".gitattributes"}
    assert any(name.startswith("data/toy/") for name in files)


@pytest.mark.parametrize("ok", [True, False])
def test_the_token_is_in_no_output_and_no_file(hub: FakeHub, toy: Path, made: Path, tmp_path: Path, ok: bool) -> None:
    hub.faults = [] if ok else [Fault("POST", "/commit/", 400)]
    result = run(hub, tmp_path / "home", str(toy), "--dest", str(made))
    assert (result.returncode == 0) == ok
    assert TOKEN not in result.stdout + result.stderr
    files = [path for folder in (tmp_path, made) for path in folder.rglob("*") if path.is_file()]
    assert files and not [path for path in files if TOKEN.encode() in path.read_bytes()]


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    """The error of a run that failed as a user's mistake."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr.strip().splitlines()[-1]


def test_no_token_is_said_before_anything_is_written(hub: FakeHub, toy: Path, tmp_path: Path) -> None:
    result = run(hub, tmp_path / "home", str(toy), "--dest", str(tmp_path / "dest"), HF_TOKEN="")
    assert "no token of the Hub: run `hf auth login` or set HF_TOKEN" in one_line(result)
    assert not (tmp_path / "dest").exists()


@pytest.mark.parametrize(("status", "said"), [(401, "not accepted (401)"), (403, "may not write there (403)")])
def test_a_token_that_may_not_is_one_line(
    hub: FakeHub, toy: Path, made: Path, tmp_path: Path, status: int, said: str
) -> None:
    hub.faults = [Fault("POST", "/api/repos/create", status, times=99)]
    assert said in one_line(run(hub, tmp_path / "home", str(toy), "--dest", str(made)))


@pytest.mark.parametrize("status", [200, 409])
def test_a_hub_that_answers_something_else_is_one_line(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.endpoint)
    hub.faults = [Fault("POST", "/api/repos/create", status)]  # a body without the address of the repository
    with pytest.raises(UserError, match=f"{hub.endpoint}: gave an answer that the client cannot read"):
        upload_tree(tmp_path, "me/data", repo_type="dataset", private=False, message="x", token=TOKEN)


def test_a_wait_that_is_written_in_no_digits_of_ours_is_not_waited_for(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.endpoint)
    hub.faults = [Fault("POST", "/api/repos/create", 429, {"Retry-After": "\u00b2"}), Fault("POST", "/create", 400)]
    with pytest.raises(UserError, match="me/data: "):
        upload_tree(tmp_path, "me/data", repo_type="dataset", private=False, message="x", token=TOKEN)


def test_a_name_that_is_taken_by_a_model_is_one_line(hub: FakeHub, toy: Path, made: Path, tmp_path: Path) -> None:
    hub.repos["model", "me/data"] = Repo("model")
    said = one_line(run(hub, tmp_path / "home", str(toy), "--dest", str(made)))
    assert "me/data: already exists as a model, not a dataset; choose another --repo-id" in said


def test_no_network_is_one_line(hub: FakeHub, toy: Path, made: Path, tmp_path: Path) -> None:
    arguments = (str(toy), "--dest", str(made))
    said = one_line(run(hub, tmp_path / "home", *arguments, HF_ENDPOINT="http://127.0.0.1:9"))
    assert "http://127.0.0.1:9: cannot be reached" in said and "resumes" in said
