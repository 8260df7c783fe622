"""The local web server: a dozen addresses on 127.0.0.1, none of which names a file.

The standard library's server does: one person looks, everything heavy is in DuckDB and pyarrow, which let other threads
run, and the page needs no package beyond the base install. It is not for the open network and refuses to be: it listens
on 127.0.0.1, answers only requests for a local host name (a foreign page that points its own name here learns
nothing), and saves only what its own page sends.
"""

from __future__ import annotations

import errno
import json
import re
import secrets
import sys
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from posixpath import splitext
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from lrs2m_builder.dataset.reviews import ConflictError
from lrs2m_builder.dataset.view.answers import DataSet
from lrs2m_builder.errors import UserError
from lrs2m_builder.schema import CaptionColumn
from lrs2m_builder.tokenizer import count_tokens

LOCAL = {"127.0.0.1", "localhost"}
MAX_BODY = 64 * 1024
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_KINDS = {  # of the files in page/
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


class Server(ThreadingHTTPServer):
    """Serves one data set.

    Attributes:
        token: what a request that saves must carry; only a page from here can read it.
    """

    daemon_threads = True

    def __init__(self, data: DataSet, port: int) -> None:
        """Listen on 127.0.0.1.

        Args:
            port: 0 takes any free one.

        Raises:
            UserError: the port is taken or may not be used.
        """
        self.data = data
        self.token = secrets.token_urlsafe(16)
        self.page = {
            "/" if file.name == "page.html" else f"/{file.name}": (_KINDS[splitext(file.name)[1]], file.read_bytes())
            for file in files("lrs2m_builder.dataset.view").joinpath("page").iterdir()
        }
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            raise UserError(
                f"--port {port}: {'in use' if taken else error.strerror}; give another, or 0 for any that is free"
            ) from error

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://127.0.0.1:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is no error; anything else is a bug and keeps its traceback."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 60
    server_version = "lrs2m"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def log_message(self, *_: Any) -> None:
        """Say nothing: a page is a hundred requests."""

    def _answer(self, method: Any) -> None:
        try:
            if (self.headers.get("Host") or "").rsplit(":", 1)[0] not in LOCAL:
                self._error(HTTPStatus.FORBIDDEN, "only for this machine: open the address that lrs2m view printed")
                return
            method()
        except UserError as error:
            self._error(HTTPStatus.BAD_REQUEST, str(error))

    def _get(self) -> None:
        parts = urlsplit(self.path)
        values = dict(parse_qsl(parts.query))
        data = self.server.data
        if parts.path in self.server.page:
            self._send(*self.server.page[parts.path])
        elif parts.path == "/api/about":
            self._json(data.about() | {"token": self.server.token})
        elif parts.path == "/api/select":
            self._json(data.select(values.pop("kind", "records"), values))
        elif parts.path == "/api/points":
            self._send("application/octet-stream", data.points(values))
        elif parts.path == "/api/rows":
            start, count = _number(values, "start"), _number(values, "count")
            self._page(data.rows(values.get("selection", ""), start, count, brief="brief" in values))
        elif parts.path == "/api/charts":
            self._page(data.charts(values.get("selection", "")))
        elif parts.path == "/api/row":
            self._json(data.row(values.get("kind", "records"), _number(values, "row")))
        elif parts.path == "/api/twins":
            self._json(data.twins(_number(values, "row")))
        elif parts.path == "/image":
            image = data.image(_number(values, "row"), small="small" in values, kind=values.get("kind", "records"))
            if image is None:
                self._error(HTTPStatus.NOT_FOUND, "no image that a browser can show")
            else:
                self._send(*image, cache="private, max-age=3600")
        else:
            self._error(HTTPStatus.NOT_FOUND, "no such page")

    def _post(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY:
            self.close_connection = True  # what was not read would be taken for the next request
            self._error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MAX_BODY} bytes")
            return
        body = self.rfile.read(int(length))
        own = self.headers.get("Origin") == f"http://{self.headers.get('Host')}"
        if not own or not secrets.compare_digest(
            self.headers.get("X-Token", "").encode("latin-1", "replace"), self.server.token.encode()
        ):
            self._error(HTTPStatus.FORBIDDEN, "only the page itself may save; reload it")
            return
        save = {"/api/review": self._review, "/api/correct": self._correct, "/api/check": self._check}.get(self.path)
        if save is None:
            self._error(HTTPStatus.NOT_FOUND, "no such page")
            return
        try:
            entry = json.loads(body)
            number, texts = int(entry["row"]), {name: str(value) for name, value in entry.items()}
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            self._error(HTTPStatus.BAD_REQUEST, "not a review")
            return
        try:
            save(number, texts)
        except ConflictError as error:
            self._json({"error": str(error), "row": self.server.data.row("records", number)}, HTTPStatus.CONFLICT)

    def _review(self, number: int, texts: Mapping[str, str]) -> None:
        data = self.server.data
        data.desk.review(number, texts.get("verdict", ""), texts.get("note", ""))
        self._json({"row": data.row("records", number), "reviews": data.desk.counts()})

    def _correct(self, number: int, texts: Mapping[str, str]) -> None:
        data, column = self.server.data, cast("CaptionColumn", texts.get("column", ""))
        data.desk.correct(number, column, texts.get("before", ""), texts.get("after", ""))
        self._json({"row": data.row("records", number), "reviews": data.desk.counts()})

    def _check(self, number: int, texts: Mapping[str, str]) -> None:
        column, text = cast("CaptionColumn", texts.get("column", "")), texts.get("text", "")
        self._json({"findings": self.server.data.desk.check(number, column, text), "tokens": count_tokens(text)})

    def _page(self, content: Any) -> None:
        """What was found of a selection; if it is not kept any more, the page asks for it again."""
        if content is None:
            self._error(HTTPStatus.GONE, "ask for the selection again")
        else:
            self._json(content)

    def _json(self, content: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send("application/json", json.dumps(content).encode(), status)

    def _error(self, status: HTTPStatus, message: str) -> None:
        self._json({"error": message}, status)

    def _send(self, kind: str, body: bytes, status: HTTPStatus = HTTPStatus.OK, cache: str = "no-store") -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": cache}
        for name, value in (headers | _HEADERS).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _number(values: dict[str, str], name: str) -> int:
    value = values.get(name, "")
    if not re.fullmatch("[0-9]{1,9}", value):
        raise UserError(f"{name}: {value!r} is not a number")
    return int(value)
