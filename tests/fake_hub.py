"""A Hub on this machine: the endpoints that huggingface_hub speaks to when it uploads, over real HTTP.

It keeps what it was sent, and can fail as a real one does: drop a connection, or answer with a status once or more.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_" + "secretsecret" * 3


@dataclass
class Fault:
    """What goes wrong: the next `times` requests of that kind are dropped or answered with `status`."""

    method: str
    path: str  # a regular expression
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1


@dataclass
class Repo:
    """A repository: its files by path as (git hash or SHA-256, size)."""

    type: str
    private: bool = False
    files: dict[str, tuple[str, int]] = field(default_factory=dict)
    commits: list[str] = field(default_factory=lambda: ["0" * 40])


class FakeHub:
    """The state of the Hub and what was asked of it."""

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.asked: Counter[str] = Counter()  # "METHOD what"
        self.xorbs: Counter[str] = Counter()
        self.endpoint = ""
        self.lock = threading.Lock()

    def fault(self, method: str, path: str) -> Fault | None:
        """The fault that this request meets, if any."""
        with self.lock:
            for fault in self.faults:
                if fault.times and fault.method == method and re.search(fault.path, path):
                    fault.times -= 1
                    return fault
        return None

    def content(self, repo_id: str, path: str, repo_type: str = "dataset") -> bytes:
        """The bytes of a file."""
        return self.blobs[self.repos[repo_type, repo_id].files[path][0]]


def git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _any(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self._body()
        if fault := self.hub.fault(self.command, path):
            if fault.status is None:
                self.close_connection = True
                self.connection.close()
                return
            self._answer({"error": "as asked"}, fault.status, fault.headers)
            return
        own = path.startswith(("/lfs/", "/cas/"))
        if not own and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer({"error": "Invalid credentials"}, 401)
            return
        with self.hub.lock:
            answer, status = self._route(path, body)
        self._answer(answer, status, {"X-Error-Code": "RepoNotFound"} if status == 404 else {})

    do_GET = do_POST = do_PUT = do_HEAD = _any  # noqa: N815

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _route(self, path: str, body: bytes) -> tuple[Any, int]:
        hub = self.hub
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path == "/api/validate-yaml":
            return {"errors": [], "warnings": []}, 200
        if match := re.fullmatch(r"/lfs/(\w{64})", path):
            hub.asked["PUT lfs"] += 1
            assert hashlib.sha256(body).hexdigest() == match[1]
            hub.blobs[match[1]] = body
            return {}, 200
        if path.startswith("/cas/"):
            return self._cas(path, body)
        if match := re.fullmatch(r"/(datasets|)/?(.+)\.git/info/lfs/objects/batch", path):
            return {"transfer": "basic", "objects": [self._object(one) for one in json.loads(body)["objects"]]}, 200
        if match := re.fullmatch(r"/api/(model|dataset|space)s/([^/]+/[^/]+)(?:/(.*))?", path):
            repo = hub.repos.get((match[1], match[2]))
            return (
                self._repo(repo, match[2], match[3] or "", body) if repo else ({"error": "Repository not found"}, 404)
            )
        return {"error": f"unknown {path}"}, 404

    def _create(self, asked: dict[str, Any]) -> tuple[Any, int]:
        repo_id, kind = f"{asked['organization'] or 'me'}/{asked['name']}", asked.get("type", "model")
        taken = [known for known, name in self.hub.repos if name == repo_id]
        url = f"{self.hub.endpoint}/{kind}s/{repo_id}" if kind != "model" else f"{self.hub.endpoint}/{repo_id}"
        if taken:
            return {"error": "You already created this repo", "url": url}, 409
        self.hub.asked["create"] += 1
        self.hub.repos[kind, repo_id] = Repo(kind, private=asked.get("visibility") == "private")
        return {"url": url, "name": repo_id, "id": "1"}, 200

    def _object(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["oid"] in self.hub.blobs:
            return asked
        return asked | {"actions": {"upload": {"href": f"{self.hub.endpoint}/lfs/{asked['oid']}"}}}

    def _repo(self, repo: Repo, repo_id: str, what: str, body: bytes) -> tuple[Any, int]:
        if what in {"", "revision/main"}:
            return {"id": repo_id, "sha": repo.commits[-1], "private": repo.private, "siblings": []}, 200
        if what.startswith("tree/"):
            files = [{"type": "file", "path": p, "oid": o, "size": s} for p, (o, s) in repo.files.items()]
            return files, 200
        if what.startswith("preupload/"):
            return {"files": [self._mode(repo, one) for one in json.loads(body)["files"]]}, 200
        if what.startswith("xet-write-token/"):
            return {"accessToken": "xet", "exp": 2**33, "casUrl": f"{self.hub.endpoint}/cas"}, 200
        if what.startswith("commit/"):
            return self._commit(repo, repo_id, [json.loads(line) for line in body.splitlines()]), 200
        return {"error": f"unknown {what}"}, 404

    @staticmethod
    def _mode(repo: Repo, asked: dict[str, Any]) -> dict[str, Any]:
        mode = "lfs" if asked["path"].endswith((".parquet", ".png")) else "regular"
        oid = repo.files.get(asked["path"], (None,))[0]
        return {"path": asked["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid}

    def _commit(self, repo: Repo, repo_id: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                data = base64.b64decode(value["content"])
                self.hub.asked["file " + value["path"]] += 1
                self.hub.blobs[git_hash(data)] = data
                repo.files[value["path"]] = git_hash(data), len(data)
            elif line["key"] == "lfsFile":
                repo.files[value["path"]] = value["oid"], value["size"]
                self.hub.asked["lfsFile " + value["path"]] += 1
            elif line["key"] == "deletedFile":
                del repo.files[value["path"]]
        self.hub.asked["commit"] += 1
        repo.commits.append(f"{len(repo.commits):040d}")
        url = f"{self.hub.endpoint}/datasets/{repo_id}/commit/{repo.commits[-1]}"
        return {"commitUrl": url, "commitOid": repo.commits[-1]}

    def _cas(self, path: str, body: bytes) -> tuple[Any, int]:
        """The storage behind xet: content-addressed blocks, and shards that say what they are put together to."""
        if self.headers.get("Authorization") != "Bearer xet":
            return {"error": "no"}, 401
        if match := re.fullmatch(r"/cas/v1/xorbs/default/(\w{64})", path):
            self.hub.xorbs[match[1]] += 1
            return {"was_inserted": self.hub.xorbs[match[1]] == 1}, 200
        self.hub.asked[f"cas {self.command} {path.split('/')[3]}"] += 1
        return ({"result": 1}, 200) if path.endswith("/v1/shards") else ({"error": "not found"}, 404)


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """A Hub that listens on a free port while the block runs."""
    hub = FakeHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
