"""The addresses of the page of `lrs2m compare`."""

from __future__ import annotations

import json
from http import HTTPStatus

from lrs2m_builder.dataset.compare.voting import Voting
from lrs2m_builder.dataset.page_server import PageHandler, PageServer, number_of


class Server(PageServer):
    """Serves one comparison."""

    def __init__(self, voting: Voting, port: int) -> None:
        """Listen on 127.0.0.1.

        Args:
            port: 0 takes any free one.

        Raises:
            UserError: the port is taken or may not be used.
        """
        self.voting = voting
        super().__init__(_Handler, port, "lrs2m_builder.dataset.compare", "lrs2m_builder.dataset.view")


class _Handler(PageHandler):
    server: Server

    def get(self, path: str, values: dict[str, str]) -> None:
        voting = self.server.voting
        if path == "/api/about":
            self.json(voting.about() | {"token": self.server.token})
        elif path == "/api/pair":
            self.json(voting.pair(number_of(values, "at")))
        elif path == "/api/table":
            self.json(voting.table())
        elif path == "/image":
            self.image(voting.image(number_of(values, "row")))
        else:
            self.no_such_page()

    def post(self, path: str, body: bytes) -> None:
        if path != "/api/vote":
            self.no_such_page()
            return
        try:
            entry = json.loads(body)
            at, choice = int(entry["at"]), str(entry["vote"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            self.error(HTTPStatus.BAD_REQUEST, "not a vote")
            return
        self.server.voting.vote(at, choice)
        self.json(self.server.voting.about())
