"""The server of `lrs2m view` lets no text or stranger in, answers in one line, and loses no verdict."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lrs2m_builder.dataset.reviews import Reviews
from lrs2m_builder.dataset.view.server import Server
from lrs2m_builder.errors import UserError
from tests.toy import ROOT
from tests.view_data import make_data
from tests.view_server import CHANGES, ask, ids, rows, save, serving


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("view") / "build", **CHANGES)  # type: ignore[arg-type]


@pytest.fixture
def server(build: Path) -> Iterator[Server]:
    (build / "reviews.jsonl").unlink(missing_ok=True)
    with serving(build) as running:
        yield running


def test_every_answer_has_a_policy_that_runs_no_text(server: Server) -> None:
    for address in ("/", "/page.js", "/page.css", "/api/about", "/api/select", "/image?row=0", "/nowhere"):
        headers = ask(server, address)[1]
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
    assert "<script>document.title" not in ask(server, "/")[2].decode()


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8642", "127.0.0.1.evil.example", "localhost.", "[::1]x"]
)
def test_a_foreign_host_name_is_refused(server: Server, host: str) -> None:
    for address in ("/", "/api/about", "/image?row=0"):
        assert ask(server, address, Host=host)[0] == 403


@pytest.mark.parametrize(
    "headers",
    [{"X_Token": "wrong"}, {"X_Token": ""}, {"Origin": "http://evil.example"}, {"Origin": ""}, {"Origin": "null"}],
)
def test_only_the_page_itself_may_save(build: Path, server: Server, headers: dict[str, str]) -> None:
    assert save(server, 1, "accept", **headers) == 403
    assert not (build / "reviews.jsonl").exists()


@pytest.mark.parametrize(
    "address",
    [
        "/../server.py",
        "/page.html",
        f"/{quote('../../build.json', safe='')}",
        "/data/tiles/train-00000.parquet",
        "//etc/passwd",
    ],
)
def test_no_address_names_a_file(server: Server, address: str) -> None:
    assert ask(server, address)[0] == 404


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("/api/select?kind=other", "no kind of rows"),
        ("/api/select?colour=red", "no filter 'colour'"),
        ("/api/select?order=number;DROP", "no order"),
        ("/api/select?long_min=-1", "not a whole number"),
        ("/image?row=60", "no row 60"),
        ("/image?row=x", "not a number"),
    ],
)
def test_a_wrong_question_is_answered_with_one_line(server: Server, address: str, said: str) -> None:
    status, _, content = ask(server, address)
    assert status == 400 and said in json.loads(content)["error"]


def test_a_forgotten_selection_is_asked_for_again(server: Server) -> None:
    assert ask(server, "/api/rows?selection=0123&start=0&count=24")[0] == 410


def test_a_review_is_on_the_disk_at_once_and_the_last_one_counts(build: Path, server: Server) -> None:
    assert save(server, 1, "accept") == 200
    assert save(server, 2, "flag", 'three boats, not two\n"quoted"') == 200
    assert save(server, 1, "flag", "on second thought") == 200
    lines = [json.loads(line) for line in (build / "reviews.jsonl").read_text().splitlines()]
    assert [(line["sample_id"], line["verdict"]) for line in lines] == [
        ("tiles/1.png", "accept"),
        ("tiles/2.png", "flag"),
        ("tiles/1.png", "flag"),
    ]
    assert lines[1]["note"] == 'three boats, not two\n"quoted"' and lines[1]["time"].endswith("+00:00")
    assert set(ids(server, verdict="flag")) == {1, 2} and not ids(server, verdict="accept")
    assert set(ids(server, verdict="none")) == {*range(3, 61)}
    with serving(build) as again:
        review = next(row for row in rows(again) if row["sample_id"] == "tiles/1.png")["review"]
        assert (review["verdict"], review["note"]) == ("flag", "on second thought")


@pytest.mark.parametrize(
    "body", [{"row": 0, "verdict": "maybe"}, {"row": 99, "verdict": "flag"}, {"verdict": "flag"}, []]
)
def test_what_is_no_review_is_not_saved(build: Path, server: Server, body: Any) -> None:
    assert ask(server, "/api/review", body)[0] == 400
    assert not (build / "reviews.jsonl").exists()


def test_a_line_torn_by_a_kill_costs_no_other_review(tmp_path: Path) -> None:
    path = tmp_path / "reviews.jsonl"
    Reviews(path).save("a", "accept", "")
    with path.open("a") as file:
        file.write('{"sample_id": "b", "verd')
    Reviews(path).save("c", "flag", "x")
    again = Reviews(path)
    assert again.by_verdict() == {"accept": ["a"], "flag": ["c"]}


def test_an_unwritable_folder_is_said_and_the_verdict_not_taken(tmp_path: Path) -> None:
    reviews = Reviews(tmp_path / "gone" / "reviews.jsonl")
    with pytest.raises(UserError, match="not saved"):
        reviews.save("a", "accept", "")
    assert reviews.get("a") is None


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lrs2m_builder.cli", "view", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 2 and result.stderr.count("\n") == 1, result.stderr
    return result.stderr


def test_what_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    assert "no such folder" in one_line(run(str(tmp_path / "nowhere")))
    assert "no Parquet files" in one_line(run(str(tmp_path)))
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 but not really PAR1")
    assert "broken.parquet" in one_line(run(str(tmp_path)))
    pq.write_table(pa.table({"sample_id": ["a"]}), tmp_path / "broken.parquet")
    assert "no column 'caption_short'" in one_line(run(str(tmp_path)))


def test_a_port_in_use_is_one_line(build: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"--port {port}: in use" in one_line(run(str(build), "--port", str(port)))


def test_ctrl_c_ends_the_command_with_130(build: Path) -> None:
    command = [sys.executable, "-m", "lrs2m_builder.cli", "view", str(build), "--port", "0"]
    # A shell that runs the tests in the background has its children ignore Ctrl-C.
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    assert process.stdout is not None
    assert "60 records, 4 rejected: http://127.0.0.1:" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130 and not out and "reviews.jsonl" in err
