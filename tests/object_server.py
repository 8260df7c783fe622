"""An S3 server of the tests: moto on a loopback port, with faults in front of it."""

from __future__ import annotations

import io
import os
import random
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{}</Code><Message>key AKIATESTKEY</Message></Error>'

CHANCES: tuple[Any, ...] = ((409, "ConditionalRequestConflict"), (503, "SlowDown"), "slow", "lost")


class Faults:
    """A WSGI layer: each fault is used once, by the next request of the same method.

    Attributes:
        pending: pairs of a method and a fault: (status, code) instead of an answer, "lost" for an answer that is lost
            after the server has done its work.
        unconditional: the methods whose conditions are dropped.
        requests: method and path of each request.
        share: of the requests that get a fault by chance: SlowDown, a conflict, a lost answer, or a slow one.
    """

    def __init__(self, application: Any) -> None:
        self._application = application
        self._guard = threading.Lock()
        self._turn = threading.Lock()  # moto tests a condition and writes in two steps, which threads would mix
        self.reset()

    def reset(self) -> None:
        self.pending: list[tuple[str, Any]] = []
        self.unconditional: tuple[str, ...] = ()
        self.requests: list[str] = []
        self.share = 0.0
        self.chance = random.Random(0)
        self.counts: Counter[str] = Counter()

    def __call__(self, environment: dict[str, Any], start: Any) -> Iterable[bytes]:
        method = environment["REQUEST_METHOD"]
        with self._guard:
            self.requests.append(f"{method} {environment['PATH_INFO']}")
            fault = next((each for each in self.pending if each[0] == method), None)
            if fault:
                self.pending.remove(fault)
            elif self.chance.random() < self.share:
                fault = (method, self.chance.choice(CHANCES if method in ("PUT", "POST") else CHANCES[1:]))
                self.counts[str(fault[1])] += 1
        if method in self.unconditional:
            environment.pop("HTTP_IF_NONE_MATCH", None)
            environment.pop("HTTP_IF_MATCH", None)
        if fault is None:
            return self._answer(environment, start)
        if fault[1] == "slow":
            time.sleep(0.3)
            return self._answer(environment, start)
        if fault[1] == "lost":
            self._answer(environment, lambda *_: None)
            environment["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            start("200 OK", [])
            return []
        environment["wsgi.input"].read(int(environment.get("CONTENT_LENGTH") or 0))
        status, code = fault[1]
        start(f"{status} fault", [("Content-Type", "application/xml")])
        return [ERROR.format(code).encode()]

    def _answer(self, environment: dict[str, Any], start: Any) -> list[bytes]:
        body = environment["wsgi.input"].read(int(environment.get("CONTENT_LENGTH") or 0))
        with self._turn:
            return list(self._application({**environment, "wsgi.input": io.BytesIO(body)}, start))


@contextmanager
def object_server() -> Iterator[tuple[str, Faults]]:
    """A running server: its address, and its faults."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    faults = Faults(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, faults, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", faults
    finally:
        server.shutdown()
        thread.join()


def main() -> None:
    """A server with faults by chance, until its parent ends: prints its address, then the faults so far on request."""
    with object_server() as (address, faults):
        faults.share, faults.chance = float(sys.argv[1]), random.Random(int(sys.argv[2]))
        print(address, flush=True)
        for _ in sys.stdin:
            print(dict(faults.counts), len(faults.requests), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
