"""The addresses of the page of `lrs2m view`: what it may ask for, and what it may save."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, cast

from lrs2m_builder.dataset.page_server import PageHandler, PageServer, number_of
from lrs2m_builder.dataset.reviews import ConflictError
from lrs2m_builder.dataset.view.answers import DataSet
from lrs2m_builder.schema import CaptionColumn
from lrs2m_builder.tokenizer import count_tokens


class Server(PageServer):
    """Serves one data set."""

    def __init__(self, data: DataSet, port: int) -> None:
        """Listen on 127.0.0.1.

        Args:
            port: 0 takes any free one.

        Raises:
            UserError: the port is taken or may not be used.
        """
        self.data = data
        super().__init__(_Handler, port, "lrs2m_builder.dataset.view")


class _Handler(PageHandler):
    server: Server

    def get(self, path: str, values: dict[str, str]) -> None:
        data = self.server.data
        if path == "/api/about":
            self.json(data.about() | {"token": self.server.token})
        elif path == "/api/select":
            self.json(data.select(values.pop("kind", "records"), values))
        elif path == "/api/points":
            self.send("application/octet-stream", data.points(values))
        elif path == "/api/rows":
            start, count = number_of(values, "start"), number_of(values, "count")
            self._page(data.rows(values.get("selection", ""), start, count, brief="brief" in values))
        elif path == "/api/charts":
            self._page(data.charts(values.get("selection", "")))
        elif path == "/api/row":
            self.json(data.row(values.get("kind", "records"), number_of(values, "row")))
        elif path == "/api/twins":
            self.json(data.twins(number_of(values, "row")))
        elif path == "/image":
            kind = values.get("kind", "records")
            self.image(data.image(number_of(values, "row"), small="small" in values, kind=kind))
        else:
            self.no_such_page()

    def post(self, path: str, body: bytes) -> None:
        save = {"/api/review": self._review, "/api/correct": self._correct, "/api/check": self._check}.get(path)
        if save is None:
            self.no_such_page()
            return
        try:
            entry = json.loads(body)
            number, texts = int(entry["row"]), {name: str(value) for name, value in entry.items()}
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            self.error(HTTPStatus.BAD_REQUEST, "not a review")
            return
        try:
            save(number, texts)
        except ConflictError as error:
            self.json({"error": str(error), "row": self.server.data.row("records", number)}, HTTPStatus.CONFLICT)

    def _review(self, number: int, texts: Mapping[str, str]) -> None:
        data = self.server.data
        data.desk.review(number, texts.get("verdict", ""), texts.get("note", ""))
        self.json({"row": data.row("records", number), "reviews": data.desk.counts()})

    def _correct(self, number: int, texts: Mapping[str, str]) -> None:
        data, column = self.server.data, cast("CaptionColumn", texts.get("column", ""))
        data.desk.correct(number, column, texts.get("before", ""), texts.get("after", ""))
        self.json({"row": data.row("records", number), "reviews": data.desk.counts()})

    def _check(self, number: int, texts: Mapping[str, str]) -> None:
        column, text = cast("CaptionColumn", texts.get("column", "")), texts.get("text", "")
        self.json({"findings": self.server.data.desk.check(number, column, text), "tokens": count_tokens(text)})

    def _page(self, content: Any) -> None:
        """What was found of a selection; if it is not kept any more, the page asks for it again."""
        if content is None:
            self.error(HTTPStatus.GONE, "ask for the selection again")
        else:
            self.json(content)
