"""The page's server on a free port, and questions as a browser of this machine asks them."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from lrs2m_builder.dataset.page_server import PageServer
from lrs2m_builder.dataset.selection import Selection
from lrs2m_builder.dataset.view.answers import DataSet
from lrs2m_builder.dataset.view.server import Server
from tests.view_data import SCRIPT

CHANGES = {
    "caption_short": {5: f"A pond {SCRIPT}", 6: "Étang bleu and 100 % reeds"},
    "recipe": {7: "merge.v1"},
    "model": {7: "other/model"},
    "num_tokens_long": {8: 250, 9: 251},
    "warnings": {10: ("hedge: The answer guessed.", "place_name: Oslo")},
}


@contextmanager
def in_thread(server: PageServer) -> Iterator[None]:
    """A server that answers while the block runs."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


@contextmanager
def serving(path: Path, selection: Selection | None = None, *, reviewer: str = "") -> Iterator[Server]:
    """A server on a free port."""
    with Server(DataSet(path, selection, reviewer=reviewer), 0) as server, in_thread(server):
        yield server


def ask(
    server: PageServer, address: str, body: Any = None, **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
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
