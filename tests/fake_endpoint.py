"""An OpenAI-compatible endpoint on a real socket that behaves as its test says."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.fake_engine import good_text

Behaviour = Callable[["Handler", dict[str, Any], int], None]


class Handler(BaseHTTPRequestHandler):
    """An endpoint that behaves as its test says; `server.seen` keeps the bodies of all questions."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        self.server.list_models(self)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.seen.append(body)
            number = len(self.server.seen)
        self.server.behave(self, body, number)

    def reply(self, status: int, content: Any, **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def answer(self, body: dict[str, Any]) -> None:
        self.reply(200, self.good(body))

    def good(self, body: dict[str, Any]) -> bytes:
        """The body of a good answer."""
        message = {"message": {"content": good_text(body["seed"])}, "finish_reason": "stop"}
        content = {"choices": [message], "usage": {"prompt_tokens": 7, "completion_tokens": 80}}
        return json.dumps(content).encode()

    def drop(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def truncate(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5000")
        self.end_headers()
        self.wfile.write(b'{"choices": [{"mess')
        self.drop()

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


def list_toy_model(handler: Handler) -> None:
    handler.reply(200, {"data": [{"id": "toy-model"}]})


class QuietServer(ThreadingHTTPServer):
    """A server with the state of its test; a client that hangs up is no news."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, behave: Behaviour, port: int = 0, list_models: Callable[[Handler], None] = list_toy_model
    ) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.behave, self.list_models = behave, list_models
        self.seen: list[dict[str, Any]] = []
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing."""


@contextmanager
def endpoint(
    behave: Behaviour, *, port: int = 0, list_models: Callable[[Handler], None] = list_toy_model
) -> Iterator[QuietServer]:
    server = QuietServer(behave, port, list_models)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
