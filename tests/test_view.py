"""`lrs2m view`: the page tells the truth about the rows, lets no text or stranger in, and loses no verdict."""

from __future__ import annotations

import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lrs2m_builder.errors import UserError
from lrs2m_builder.reviews import Reviews
from lrs2m_builder.shards import RECORD_SCHEMA
from lrs2m_builder.viewer import rows as view_rows
from lrs2m_builder.viewer.answers import DataSet
from lrs2m_builder.viewer.index import open_indexes
from lrs2m_builder.viewer.marks import find_class, mark
from lrs2m_builder.viewer.rows import picture
from lrs2m_builder.viewer.server import Server
from tests.chrome import chromium
from tests.toy import ROOT
from tests.view_data import SCRIPT, make_data

CHANGES = {
    "caption_short": {5: f"A pond {SCRIPT}", 6: "Étang bleu and 100 % reeds"},
    "recipe": {7: "merge.v1"},
    "model": {7: "other/model"},
    "num_tokens_long": {8: 250, 9: 251},
    "warnings": {10: ("hedge", "place_name")},
}


@contextmanager
def serving(path: Path) -> Iterator[Server]:
    """A server on a free port."""
    with Server(DataSet(path), 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("view") / "build", **CHANGES)  # type: ignore[arg-type]


@pytest.fixture
def server(build: Path) -> Iterator[Server]:
    (build / "reviews.jsonl").unlink(missing_ok=True)
    with serving(build) as running:
        yield running


def ask(server: Server, address: str, body: Any = None, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    """A request as a browser of this machine sends it; `headers` override, "" leaves one out."""
    local = f"127.0.0.1:{server.server_port}"
    sent = {"Host": local}
    if body is not None:
        sent |= {"Origin": f"http://{local}", "X-Token": server.token, "Content-Type": "application/json"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    method = "GET" if body is None else "POST"
    data = None if body is None else json.dumps(body)
    connection.request(method, address, data, {name: value for name, value in sent.items() if value})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.headers, content


def rows(server: Server, **filters: str) -> list[dict[str, Any]]:
    """The first rows of a selection."""
    status, _, content = ask(server, "/api/select?" + urlencode(filters))
    assert status == 200, content
    found = json.loads(content)
    page = json.loads(ask(server, f"/api/rows?selection={found['selection']}&start=0&count=100")[2])["rows"]
    assert found["total"] == len(page)
    return page


def ids(server: Server, **filters: str) -> list[int]:
    """Numbers in the ids of a selection."""
    return [int(row["sample_id"].removeprefix("tiles/").removesuffix(".png")) for row in rows(server, **filters)]


def save(server: Server, number: int, verdict: str, note: str = "", **headers: str) -> int:
    """Review the record whose id has a number; returns the status."""
    row = next(row for row in rows(server) if row["sample_id"] == f"tiles/{number}.png")
    return ask(server, "/api/review", {"row": row["number"], "verdict": verdict, "note": note}, **headers)[0]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"recipe": "merge.v1"}, {7}),
        ({"model": "other/model"}, {7}),
        ({"subset": "elsewhere"}, set()),
        ({"long_min": "200"}, {8, 9}),
        ({"long_min": "200", "long_max": "250"}, {8}),
        ({"warning": "place_name"}, {10}),
        ({"warning": "hedge"}, {10, *range(3, 61, 7)}),
        ({"kind": "rejected", "reason": "refusal"}, {62, 64}),
        ({"kind": "rejected", "subset": "tiles"}, {61, 62, 63, 64}),
    ],
)
def test_a_filter_keeps_the_rows_that_have_the_value(
    server: Server, filters: dict[str, str], expected: set[int]
) -> None:
    assert set(ids(server, **filters)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A POND", {5}),
        ("étang", {6}),
        ("100 % reeds", {6}),
        ('"tiles/17.png"', {17}),
        ("reeds tiles/6", {6}),
        ('"reeds tiles"', set()),
        ("' OR 1=1 --", set()),
        ("%", {6}),
    ],
)
def test_a_search_finds_words_and_phrases_in_texts_and_ids_in_any_case(
    server: Server, text: str, expected: set[int]
) -> None:
    assert set(ids(server, text=text)) == expected


def test_a_search_of_the_rejected_looks_into_every_answer(server: Server) -> None:
    assert ids(server, kind="rejected", text='"see picture 63"') == [63]


def test_rows_are_sorted_both_ways_and_else_stand_as_in_the_files(build: Path, server: Server) -> None:
    stored = [name for path in sorted((build / "data").rglob("*.parquet")) for name in column(path, "sample_id")]
    assert [row["sample_id"] for row in rows(server)] == stored
    assert [row["sample_id"] for row in rows(server, order="id", descending="1")] == sorted(stored, reverse=True)
    tokens = [row["num_tokens_long"] for row in rows(server, order="long")]
    assert tokens == sorted(tokens) and tokens[-1] == 251


def column(path: Path, name: str) -> list[Any]:
    return pq.read_table(path, columns=[name])[name].to_pylist()


def test_a_row_comes_with_what_its_file_says(build: Path, server: Server) -> None:
    row = next(row for row in rows(server) if row["sample_id"] == "tiles/7.png")
    file, at = row["place"].split(", row ")
    stored = pq.read_table(build / file).to_pylist()[int(at) - 1]
    for name in (
        "sample_id",
        "recipe",
        "prompts",
        "model",
        "model_revision",
        "seed",
        "attempts",
        "license",
        "warnings",
    ):
        assert row[name] == stored[name]
    assert "".join(piece for piece, _ in row["caption_long"]) == stored["caption_long"]
    status, headers, image = ask(server, f"/image?row={row['number']}")
    assert (status, headers["Content-Type"], image) == (200, "image/png", stored["image"]["bytes"])


def test_a_rejection_comes_with_every_answer(server: Server) -> None:
    row = next(row for row in rows(server, kind="rejected") if row["sample_id"] == "tiles/61.png")
    assert row["reason"] == "anchor_missing" and "does not name: road" in row["detail"]
    assert [attempt["text"][:9] for attempt in row["attempts"]] == ["I am sorr", "There are", "Answer 3 "]
    assert [attempt["attempt"] for attempt in row["attempts"]] == [1, 2, 3]  # as a build counts them, and the page


def test_the_places_where_a_text_names_a_class_are_marked() -> None:
    text = "🛩 Two airplanes, a parking lot and three cars; shipping is away."
    assert [text[start:end] for start, end in find_class("plane", text)] == ["airplanes"]
    pieces = mark(text, ["plane", "small vehicle", "ship"])
    assert [piece for piece in pieces if piece[1] is not None] == [("airplanes", 0), ("cars", 1)]
    assert "".join(piece for piece, _ in pieces) == text


def test_a_word_is_marked_by_what_it_means_in_its_sentence() -> None:
    text = "A building stands on the left and a plane in the center. Another building has no plane beside it."
    assert mark(text, ["building"]) == [
        ("A ", None),
        ("building", 0),
        (" stands on the left and a plane in the center. Another ", None),
        ("building", 0),
        (" has no plane beside it.", None),
    ]
    assert [piece for piece, which in mark(text, ["plane"]) if which is not None] == ["plane"]
    assert "".join(piece for piece, _ in mark("İzmir’s İ planes, Straße", ["plane"])) == "İzmir’s İ planes, Straße"


def test_an_anchor_says_which_text_names_it(server: Server) -> None:
    row = next(row for row in rows(server, text="small distance") if row["sample_id"].endswith("3.png"))
    named = {anchor["class"]: (anchor["caption_short"], anchor["caption_long"]) for anchor in row["anchors"]}
    assert named["building"] == (True, True) and named["road"][0]


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


def test_only_a_picture_is_shown_as_one() -> None:
    assert picture(b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>", small=False) is None
    assert picture(b"\x89PNG\r\n\x1a\nbroken", small=True) is None
    buffer = io.BytesIO()
    Image.new("RGB", (800, 400), (9, 99, 9)).save(buffer, "PNG")
    shown = picture(buffer.getvalue(), small=True)
    assert shown is not None
    with Image.open(io.BytesIO(shown[1])) as small:
        assert (shown[0], small.format, small.size) == ("image/jpeg", "JPEG", (192, 96))


def test_rows_of_other_origin_in_large_row_groups_are_found(tmp_path: Path) -> None:
    """Three columns of ours, one unknown, no image, and a row group that is larger than what is read at once."""
    table = pa.table(
        {
            "sample_id": [f"own/{i}" for i in range(950)],
            "caption_short": [f"field {i}" for i in range(950)],
            "caption_long": ["long"] * 950,
            "score": np.r_[np.nan, np.arange(949.0)],
        }
    )
    pq.write_table(table.slice(0, 700), tmp_path / "a.parquet", row_group_size=650)
    pq.write_table(table.slice(700), tmp_path / "b.parquet")
    data = DataSet(tmp_path)
    found = data.select("records", {"text": '"field 649"'})
    page = data.rows(found["selection"], 0, 24)
    assert page is not None and [row["sample_id"] for row in page["rows"]] == ["own/649"]
    selection = data.select("records", {})["selection"]
    for number in (0, 99, 100, 649, 650, 699, 700, 949):
        page = data.rows(selection, number, 1)
        assert page is not None and page["rows"][0]["sample_id"] == f"own/{number}"
        assert data.image(number, small=True) is None
    json.dumps(data.rows(selection, 0, 1), allow_nan=False)


def test_a_page_costs_the_same_however_many_were_looked_at_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To keep the cache small, no batch in it is weighed again: with 1,300 of them that took seconds a page."""
    build = make_data(tmp_path / "build", 60, 0)
    files = next((build / "data").rglob("*.parquet"))
    pq.write_table(pq.read_table(files), files, row_group_size=2)
    weighed = 0

    class Weighed:
        def __init__(self, batch: pa.RecordBatch) -> None:
            self.batch, self.schema, self.column = batch, batch.schema, batch.column

        @property
        def nbytes(self) -> int:
            nonlocal weighed
            weighed += 1
            return int(self.batch.nbytes)

    real = view_rows._read_batch
    monkeypatch.setattr(view_rows, "_read_batch", lambda *given: Weighed(real(*given)))
    data = DataSet(build)
    selection = data.select("records", {})["selection"]
    for start in range(0, 60, 2):
        data.rows(selection, start, 2)
    assert 30 <= weighed <= 2 * 30


def test_the_cache_of_rows_stays_as_small_as_it_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = make_data(tmp_path / "build", 60, 0)
    file = next((build / "data").rglob("*.parquet"))
    pq.write_table(pq.read_table(file), file, row_group_size=2)
    monkeypatch.setattr(view_rows, "CACHE_BYTES", 5000)
    reader = view_rows.RowReader(open_indexes(build)["records"])
    for number in [*range(60), *range(30)]:
        reader.row(number)
    held = sum(batch.nbytes for batch, _ in reader._cache.values())
    assert held == reader._cached_bytes <= 5000 and len(reader._cache) > 1


def test_a_file_that_changed_is_not_shown_as_what_it_was(tmp_path: Path) -> None:
    build = make_data(tmp_path / "build", 12, 0)
    data = DataSet(build)
    selection = data.select("records", {})["selection"]
    path = next((build / "data").rglob("*.parquet"))
    os.utime(path, (1, 1))
    with pytest.raises(UserError, match="changed since it was opened"):
        data.rows(selection, 0, 1)


def test_an_empty_data_set_opens(tmp_path: Path) -> None:
    pq.write_table(RECORD_SCHEMA.empty_table(), tmp_path / "none.parquet")
    with serving(tmp_path) as server:
        assert rows(server) == [] and rows(server, text="x") == [] and rows(server, kind="rejected") == []


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


def test_ctrl_c_ends_the_command_with_0(build: Path) -> None:
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
    assert (process.returncode, err) == (0, "") and "reviews.jsonl" in out


def test_a_person_can_read_move_search_and_accept_in_chromium(build: Path, server: Server, tmp_path: Path) -> None:
    chosen = "document.querySelector('#rows [aria-selected=true] .mono').textContent"
    order = [row["sample_id"] for row in rows(server)]
    with chromium(tmp_path / "profile") as tab:
        tab.size(1280, 800)
        tab.open(server.address)
        assert tab.evaluate(chosen) == order[0]
        tab.press("j")
        assert tab.evaluate(chosen) == order[1]
        tab.press("a")
        tab.wait_for("document.querySelector('.accept').ariaPressed == 'true'")
        assert json.loads((build / "reviews.jsonl").read_text())["sample_id"] == order[1]
        tab.press("n")
        tab.type("fine")
        tab.press("Enter")
        tab.wait_for("document.querySelector('.said')?.textContent == 'fine'")
        for _ in range(23):
            tab.press("j")
        tab.wait_for(f"{chosen} == '{order[24]}'")  # on the second page
        tab.evaluate("document.querySelectorAll('#kinds button')[1].click()")
        tab.wait_for("document.querySelector('#detail').innerText.toLowerCase().includes('attempt 1')")
        assert "attempt 4" not in tab.evaluate("document.querySelector('#detail').innerText.toLowerCase()")
        tab.evaluate("document.querySelectorAll('#kinds button')[0].click()")
        tab.wait_for(f"document.querySelector('#status').textContent.includes('of 60') && {chosen} == '{order[0]}'")
        tab.press("/")
        tab.type("pond")
        tab.press("Enter")
        tab.wait_for(f"{chosen} == 'tiles/5.png'")
        # The text that would be markup is there as text, and did nothing.
        assert "<script>document.title" in tab.evaluate("document.querySelector('#detail').innerText")
        assert "broken" not in tab.evaluate("document.title")
        assert tab.evaluate("document.querySelectorAll('#detail script, #detail img[src=x]').length") == 0
        tab.screenshot(tmp_path / "page.png")
        assert tab.trouble == []
    with Image.open(tmp_path / "page.png") as picture_:
        assert picture_.size == (1280, 800) and len(picture_.convert("RGB").getcolors(1 << 20) or ()) > 500
    last = json.loads((build / "reviews.jsonl").read_text().splitlines()[-1])
    assert (last["verdict"], last["note"]) == ("accept", "fine")
