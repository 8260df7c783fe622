"""The calls of the Batch API: files up, batches made and looked at, files down."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, Any, TypeVar

from lrs2m_builder.engines._base import EngineStoppedError
from lrs2m_builder.engines._endpoint_answers import parsed, read_reply
from lrs2m_builder.engines._endpoint_errors import (
    AwayError,
    PassingError,
    SettingError,
    error_said,
    meaning,
    redirected,
)
from lrs2m_builder.engines._endpoint_gate import KEPT
from lrs2m_builder.engines._endpoint_wire import CONNECT_S, MAX_BODY, Endpoint, Reply, make_client
from lrs2m_builder.errors import SampleError
from lrs2m_builder.exchange import Completion
from lrs2m_builder.terminal import duration, say

T = TypeVar("T")
CHAT_URL = "/v1/chat/completions"
WINDOW = "24h"  # the only one that endpoints offer
MAX_PAUSE_S = 60.0  # between two tries
MAX_PAGES = 100
MAX_LINE = 2 * MAX_BODY
_NOT_ASKED = {"batch_expired", "batch_cancelled", "request_timeout"}


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as the endpoint describes it.

    Attributes:
        files: ids of the files with its answers and its errors, as far as there are any.
        num_done, num_requests: how far it is.
        problem: code and message if it was refused as a whole.
    """

    batch_id: str
    status: str
    input_file: str
    files: tuple[str, ...]
    num_done: int
    num_requests: int
    problem: tuple[str, str]


class BatchWire:
    """The calls to one endpoint; a fault that may pass is waited out for `wait_s` seconds."""

    def __init__(self, endpoint: Endpoint, timeout_s: float, wait_s: float) -> None:
        import httpx

        self._endpoint, self._wait_s = endpoint, wait_s
        timeout = httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s))
        self._client = make_client(httpx.AsyncClient, endpoint, timeout=timeout)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def upload(self, name: str, file: IO[bytes]) -> str:
        """Upload requests; returns the id of the file."""

        async def send() -> str:
            file.seek(0)
            kind = f"multipart/form-data; boundary={secrets.token_hex(16)}"
            content = await self._call(
                "POST",
                "/files",
                data={"purpose": "batch"},
                files={"file": (name, file, "application/jsonl")},
                headers={"Content-Type": kind},
            )
            return _text(content, "id")

        return await self._waited(send)

    async def create(self, file_id: str, *, may_exist: bool) -> str:
        """Make the batch of an uploaded file, once; returns its id.

        Args:
            may_exist: an earlier call may have made it; then it is looked for first.
        """

        async def send() -> str:
            nonlocal may_exist
            if may_exist and (found := await self._find(file_id)):
                return found
            may_exist = True  # if no answer comes, it may have been made all the same
            body = {"input_file_id": file_id, "endpoint": CHAT_URL, "completion_window": WINDOW}
            return _text(await self._call("POST", "/batches", json=body), "id")

        return await self._waited(send)

    async def look(self, batch_id: str) -> Batch:
        """How far a batch is."""

        async def get() -> Batch:
            return _batch(await self._call("GET", f"/batches/{batch_id}"), self._endpoint)

        return await self._waited(get)

    @asynccontextmanager
    async def download(self, file_id: str) -> AsyncIterator[Iterator[tuple[str, Any]]]:
        """Yield the lines of a file of answers, each with its request's key; nothing before the file is whole."""
        import httpx

        with tempfile.TemporaryFile() as file:

            async def get() -> None:
                file.seek(0)
                file.truncate()
                url = self._endpoint.at(f"/files/{file_id}/content")
                async with self._errors(), self._client.stream("GET", url) as response:
                    if response.status_code != httpx.codes.OK:
                        await response.aread()
                        self._check(response)
                    async for chunk in response.aiter_bytes():
                        file.write(chunk)
                for _ in _lines(file):
                    pass

            await self._waited(get)
            yield _lines(file)

    async def delete(self, file_id: str) -> None:
        """Delete a file that is of no more use; an endpoint that does not is no trouble."""
        with contextlib.suppress(PassingError, SettingError, SampleError):
            await self._call("DELETE", f"/files/{file_id}")

    async def _find(self, file_id: str) -> str | None:
        """The batch that was made of a file; one that failed, or was cancelled without an answer, does not count."""
        query: dict[str, str] = {}
        for _ in range(MAX_PAGES):
            content = await self._call("GET", "/batches", query={"limit": "100", **query})
            entries = content.get("data") if isinstance(content, dict) else None
            if not isinstance(entries, list):
                raise SettingError("its list of batches cannot be read")
            batches = [_batch(entry, self._endpoint) for entry in entries]
            for batch in batches:
                if batch.input_file == file_id and batch.status != "failed":
                    return batch.batch_id
            if not content.get("has_more") or not batches:
                return None
            query = {"after": batches[-1].batch_id}
        return None

    async def _waited(self, call: Callable[[], Awaitable[T]]) -> T:
        """The result of a call that is repeated while its fault may pass.

        Raises:
            EngineStoppedError: it did not pass, or is one of a setting.
        """
        name, since, tries = self._endpoint.shown, time.monotonic(), 0
        while True:
            try:
                result = await call()
            except (SettingError, SampleError) as error:
                raise EngineStoppedError(f"{name}: {error}; {KEPT}") from error
            except PassingError as error:
                left = since + self._wait_s - time.monotonic()
                if left <= 0:
                    raise EngineStoppedError(f"{name}: {error}; {KEPT}; batches that were sent are found again") from (
                        error
                    )
                if tries == 1:
                    say(f"waiting for {name} ({error}), {duration(left)} at most")
                await asyncio.sleep(min(max(0.5 * 2.0**tries, error.wait_s or 0.0), MAX_PAUSE_S, left))
                tries += 1
            else:
                return result

    async def _call(self, method: str, path: str, query: Mapping[str, str] | None = None, **content: Any) -> Any:
        """The JSON of one reply."""
        async with self._errors():
            response = await self._client.request(method, self._endpoint.at(path, **(query or {})), **content)
            return self._check(response)

    @asynccontextmanager
    async def _errors(self) -> AsyncIterator[None]:
        import httpx

        try:
            yield
        except httpx.RequestError as error:
            words = self._endpoint.words(str(error)) or "no message"
            raise AwayError(f"{type(error).__name__}: {words}") from error

    def _check(self, response: Any) -> Any:
        """The JSON of a reply.

        Raises:
            PassingError, SampleError, SettingError: it is none, or an error.
        """
        headers = {name.lower(): value for name, value in response.headers.items()}
        reply = Reply(response.status_code, headers, response.content, str(response.url))
        if 300 <= reply.status < 400:
            raise SettingError(redirected(reply, self._endpoint))
        content = parsed(reply.body)
        if not 200 <= reply.status < 300:
            raise meaning(reply.status, error_said(content, reply.body), reply, self._endpoint)
        if content is None:
            raise PassingError(f"HTTP {reply.status} with a body that is not JSON")
        return content


def read_outcome(entry: Mapping[str, Any], endpoint: Endpoint) -> Completion:
    """The answer in a line of a file of answers or errors.

    Raises:
        PassingError: the request was not answered; another batch may answer it.
        SampleError: it is refused.
        SettingError: every request would be refused.
    """
    response, error = entry.get("response"), entry.get("error")
    if isinstance(response, dict) and isinstance(status := response.get("status_code"), int) and status:
        return read_reply(Reply(status, {}, json.dumps(response.get("body")).encode(), endpoint.shown), endpoint)
    said = error_said({"error": error}, b"")
    if not said.codes or _NOT_ASKED & set(said.codes):
        raise PassingError(endpoint.words(said.message) or "no answer and no reason")
    raise meaning(200, said, Reply(200, {}, b"", endpoint.shown), endpoint)


def _lines(file: IO[bytes]) -> Iterator[tuple[str, Any]]:
    """Yield the objects of a file of lines with their keys.

    Raises:
        PassingError: a line is none: to ask its request again could mean to pay for it twice.
    """
    file.seek(0)
    while line := file.readline(MAX_LINE):
        if not line.strip():
            continue
        entry = parsed(line)
        if not isinstance(entry, dict) or not isinstance(key := entry.get("custom_id"), str):
            raise PassingError("a file of answers with a line that is none")
        yield key, entry


def _batch(content: Any, endpoint: Endpoint) -> Batch:
    """A batch in a reply.

    Raises:
        PassingError: it holds none.
    """
    counts = content.get("request_counts") if isinstance(content, dict) else None
    counts = counts if isinstance(counts, dict) else {}
    errors = content.get("errors") if isinstance(content, dict) else None
    listed = errors.get("data") if isinstance(errors, dict) else errors
    first = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}
    return Batch(
        batch_id=_text(content, "id"),
        status=_text(content, "status"),
        input_file=str(content.get("input_file_id") or ""),
        files=tuple(str(content[key]) for key in ("output_file_id", "error_file_id") if content.get(key)),
        num_done=sum(value for key in ("completed", "failed") if isinstance(value := counts.get(key), int)),
        num_requests=value if isinstance(value := counts.get("total"), int) else 0,
        problem=(str(first.get("code") or ""), endpoint.words(str(first.get("message") or ""))),
    )


def _text(content: Any, key: str) -> str:
    value = content.get(key) if isinstance(content, dict) else None
    if not isinstance(value, str) or not value:
        raise PassingError(f"a reply without {key!r}")
    return value
