"""A local web server for one page: files of the package and a dozen addresses on 127.0.0.1, none of which names a file.

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
import webbrowser
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from posixpath import splitext
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from lrs2m_builder.errors import Stopped, UserError

DEFAULT_PORT = 8642
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
_KINDS = {  # of the files of a page
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


class PageServer(ThreadingHTTPServer):
    """Serves one page.

    Attributes:
        token: what a request that saves must carry; only a page from here can read it.
    """

    daemon_threads = True

    def __init__(self, handler: type[PageHandler], port: int, *packages: str) -> None:
        """Listen on 127.0.0.1.

        Args:
            port: 0 takes any free one.
            packages: each has a folder `page/`, whose files are served; of two of one name the first package's.

        Raises:
            UserError: the port is taken or may not be used.
        """
        self.token = secrets.token_urlsafe(16)
        self.page = {
            "/" if file.name == "page.html" else f"/{file.name}": (_KINDS[splitext(file.name)[1]], file.read_bytes())
            for package in reversed(packages)
            for file in files(package).joinpath("page").iterdir()
        }
        try:
            super().__init__(("127.0.0.1", port), handler)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            raise UserError(
                f"--port {port}: {'in use' if taken else error.strerror}; give another, or 0 for any that is free"
            ) from error

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://127.0.0.1:{self.server_port}/"

    def serve(self, found: str, say: Callable[[str], object], *, open_browser: bool, kept: str) -> None:
        """Say what was found and where the page is, and serve it until Ctrl-C.

        Args:
            kept: what is said of it when it ends.

        Raises:
            Stopped: by Ctrl-C or another signal.
        """
        try:
            say(f"{found}: {self.address}")
            if open_browser:
                webbrowser.open(self.address)
            self.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt as interrupt:
            raise Stopped(f"stopped; {kept}") from interrupt

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is no error; anything else is a bug and keeps its traceback."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class PageHandler(BaseHTTPRequestHandler):
    """Answers requests: `get` and `post` say what a page is told and what it saves."""

    server: PageServer
    protocol_version = "HTTP/1.1"
    timeout = 60
    server_version = "lrs2m"
    sys_version = ""

    def get(self, path: str, values: dict[str, str]) -> None:
        """Answer a question; a UserError is told to the page.

        Args:
            values: of the query.
        """
        raise NotImplementedError

    def post(self, path: str, body: bytes) -> None:
        """Save what the page sent; a UserError is told to the page."""
        raise NotImplementedError

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        self._answer(self._post)

    def log_message(self, *_: Any) -> None:
        """Say nothing: a page is a hundred requests."""

    def _answer(self, method: Any) -> None:
        try:
            if (self.headers.get("Host") or "").rsplit(":", 1)[0] not in LOCAL:
                self.error(HTTPStatus.FORBIDDEN, "only for this machine: open the address that lrs2m printed")
                return
            method()
        except UserError as error:
            self.error(HTTPStatus.BAD_REQUEST, str(error))

    def _get(self) -> None:
        parts = urlsplit(self.path)
        if parts.path in self.server.page:
            self.send(*self.server.page[parts.path])
        else:
            self.get(parts.path, dict(parse_qsl(parts.query)))

    def _post(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY:
            self.close_connection = True  # what was not read would be taken for the next request
            self.error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MAX_BODY} bytes")
            return
        body = self.rfile.read(int(length))
        own = self.headers.get("Origin") == f"http://{self.headers.get('Host')}"
        if not own or not secrets.compare_digest(
            self.headers.get("X-Token", "").encode("latin-1", "replace"), self.server.token.encode()
        ):
            self.error(HTTPStatus.FORBIDDEN, "only the page itself may save; reload it")
            return
        self.post(self.path, body)

    def image(self, found: tuple[str, bytes] | None) -> None:
        """Send an image, or say that there is none."""
        if found is None:
            self.error(HTTPStatus.NOT_FOUND, "no image that a browser can show")
        else:
            self.send(*found, cache="private, max-age=3600")

    def json(self, content: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        """Send what was asked for."""
        self.send("application/json", json.dumps(content).encode(), status)

    def error(self, status: HTTPStatus, message: str) -> None:
        """Send what the page tells the person."""
        self.json({"error": message}, status)

    def no_such_page(self) -> None:
        """Say that nothing is at this address."""
        self.error(HTTPStatus.NOT_FOUND, "no such page")

    def send(self, kind: str, body: bytes, status: HTTPStatus = HTTPStatus.OK, cache: str = "no-store") -> None:
        """Send a body of a media type, with the headers that keep everything foreign out."""
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": cache}
        for name, value in (headers | _HEADERS).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def number_of(values: Mapping[str, str], name: str) -> int:
    """A whole number of a query.

    Raises:
        UserError: it is none.
    """
    value = values.get(name, "")
    if not re.fullmatch("[0-9]{1,9}", value):
        raise UserError(f"{name}: {value!r} is not a number")
    return int(value)
