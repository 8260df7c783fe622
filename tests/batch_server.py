"""An endpoint with a Batch API on a real socket: it answers when it is looked at, or fails as its test says."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.fake_engine import good_text

Line = dict[str, Any]


def answered(line: Line, status: int = 200, body: Any = None) -> Line:
    """A line of a file of answers."""
    text = good_text(line["body"]["seed"])
    good = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
    usage = {"prompt_tokens": 7, "completion_tokens": 80}
    response = {"status_code": status, "body": body or {**good, "usage": usage}}
    return {"id": "r", "custom_id": line["custom_id"], "response": response, "error": None}


def expired(line: Line) -> Line:
    """A line of a file of errors: the request was not reached in time."""
    error = {"code": "batch_expired", "message": "This request could not be executed in time."}
    return {"id": "r", "custom_id": line["custom_id"], "response": None, "error": error}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        server, path = self.server, self.path.partition("?")[0].removeprefix("/v1")
        if path == "/models":
            return self.reply({"data": [{"id": "toy-model"}]})
        if path == "/batches":
            return self.reply({"data": list(server.batches.values()), "has_more": False})
        if found := re.fullmatch(r"/batches/(.+)", path):
            server.event("look")
            return self.reply(server.looked_at(found[1]))
        if found := re.fullmatch(r"/files/(.+)/content", path):
            server.event("download")
            return self.reply(server.files[found[1]])
        return self.reply({"error": {"message": "no such address"}}, 404)

    def do_POST(self) -> None:
        server, path = self.server, self.path.removeprefix("/v1")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if path == "/files":
            assert b'name="purpose"\r\n\r\nbatch\r\n' in body
            content = body.partition(b"application/jsonl\r\n\r\n")[2].rpartition(b"\r\n--")[0]
            file_id = server.add_file(content)
            server.event("upload")
            return self.reply({"id": file_id, "purpose": "batch"})
        if path == "/batches":
            made = server.make(json.loads(body))
            server.event("create")
            return self.reply(made)
        if path == "/chat/completions":
            asked = json.loads(body)
            server.live.append(asked)
            return self.reply(answered({"custom_id": "", "body": asked})["response"]["body"])
        return self.reply({"error": {"message": "no such address"}}, 404)

    def do_DELETE(self) -> None:
        self.reply({"deleted": True})

    def reply(self, content: Any, status: int = 200) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


class BatchServer(ThreadingHTTPServer):
    """The state of the endpoint.

    Attributes:
        end: what becomes of a batch: its number and lines to status, answers and errors.
        on_event: called with "upload", "create", "look" and "download" after it happened, before the reply.
        paid: how often each request was answered.
        sizes: numbers of requests of the batches, in order.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.end: Callable[[int, list[Line]], tuple[str, list[Line], list[Line]]] = lambda number, lines: (
            "completed",
            [answered(line) for line in lines],
            [],
        )
        self.on_event: Callable[[str], None] = lambda name: None
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.paid: Counter[str] = Counter()
        self.sizes: list[int] = []
        self.live: list[Any] = []
        self.is_open = True
        self.lock = threading.Lock()

    def event(self, name: str) -> None:
        self.on_event(name)

    def add_file(self, content: bytes) -> str:
        with self.lock:
            file_id = f"file-{len(self.files)}"
            self.files[file_id] = content
        return file_id

    def make(self, body: dict[str, Any]) -> dict[str, Any]:
        assert body["endpoint"] == "/v1/chat/completions" and body["completion_window"] == "24h"
        batch_id = f"batch-{len(self.batches)}"
        self.batches[batch_id] = {"id": batch_id, "status": "validating", "input_file_id": body["input_file_id"]}
        self.sizes.append(self.files[body["input_file_id"]].count(b"\n"))
        return self.batches[batch_id]

    def looked_at(self, batch_id: str) -> dict[str, Any]:
        """A batch; it ends when it is looked at, while the server is open for work."""
        with self.lock:
            batch = self.batches[batch_id]
            if batch["status"] == "validating" and self.is_open:
                lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
                batch["status"], answers, errors = self.end(list(self.batches).index(batch_id), lines)
                self.paid.update(line["custom_id"] for line in answers)
                for key, results in (("output", answers), ("error", errors)):
                    name = f"{key}-{batch_id}"
                    self.files[name] = b"".join(json.dumps(line).encode() + b"\n" for line in results)
                    batch[f"{key}_file_id"] = name if results else None
                if batch["status"] == "failed":
                    batch["errors"] = {"data": [{"code": errors[0]["code"], "message": errors[0]["message"]}]}
        return batch

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that was killed."""


@contextmanager
def batch_server() -> Iterator[BatchServer]:
    server = BatchServer()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
