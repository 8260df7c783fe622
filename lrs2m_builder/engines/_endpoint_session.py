"""The requests of one event loop to an endpoint: one exchange each, and what they share."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from lrs2m_builder.engines._endpoint_answers import parsed, read_reply
from lrs2m_builder.engines._endpoint_errors import AwayError, PassingError, SettingError
from lrs2m_builder.engines._endpoint_gate import MAX_IN_A_ROW, Gate, Verdicts
from lrs2m_builder.engines._endpoint_wire import (
    CONNECT_S,
    MAX_BODY,
    MAX_ERROR_BODY,
    Body,
    BodyError,
    Endpoint,
    Reply,
    make_client,
)
from lrs2m_builder.errors import SampleError

T = TypeVar("T")
Read = Callable[[Reply, Endpoint], T]


class Session:
    """Connections to an endpoint, with what their requests share.

    Attributes:
        given_up: requests in a row that were tried in vain.
    """

    def __init__(self, endpoint: Endpoint, max_in_flight: int, timeout_s: float, gate: Gate) -> None:
        import httpx

        self.gate = gate
        self.given_up = 0
        self._endpoint, self._timeout_s = endpoint, timeout_s
        self._url = endpoint.at("/chat/completions")
        self._verdicts = Verdicts()
        self._client = make_client(
            httpx.AsyncClient,
            endpoint,
            timeout=httpx.Timeout(timeout_s, connect=min(CONNECT_S, 0.9 * timeout_s), pool=None),
            # Connections that a server is about to close are not used again.
            limits=httpx.Limits(
                max_connections=max_in_flight, max_keepalive_connections=max_in_flight, keepalive_expiry=3
            ),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def exchange(self, body: bytes, read: Read[T], *, is_first: bool) -> T:
        """One try of one request; a refusal is held back until it is clear whose fault it is.

        Args:
            read: makes the answer of a reply.
            is_first: whether it is the request's first try.

        Raises:
            PassingError: another try may succeed; an AwayError: when the endpoint is there again.
            SampleError: the request is refused.
            SettingError: no other request would fare better.
        """
        await self._verdicts.wait_for_verdict()
        try:
            with self._verdicts.on_wire():
                answer = await self._ask(body, read, is_first=is_first)
        except SampleError as error:
            if await self._verdicts.is_own(named=error.reason != "request_refused"):
                raise
            which = f"{MAX_IN_A_ROW} requests in a row"
            which = which if self._verdicts.has_answered else f"the first {MAX_IN_A_ROW} requests"
            raise SettingError(
                f"refused {which}, the last with: {error.detail}; look at --model, --sampling and --engine-option"
            ) from error
        self._verdicts.answered()
        return answer

    async def is_there(self, fields: Mapping[str, Any]) -> bool:
        """Whether the endpoint answers another question: if so, the fault is the request's own."""
        question = {"role": "user", "content": "Answer with one word: ready?"}
        with contextlib.suppress(PassingError, SampleError):
            await self._ask(json.dumps({**fields, "messages": [question]}).encode(), read_reply, is_first=False)
        return self.gate.is_open()

    async def tokens_of(self, model: str, texts: Iterable[str]) -> dict[str, tuple[list[int], list[str]]] | None:
        """The tokens of some texts, with what each is as text; None unless the server tokenizes texts, as vLLM does."""
        import httpx

        url = httpx.URL(self._endpoint.url)
        url = url.copy_with(path=url.path.rstrip("/").removesuffix("/v1") + "/tokenize")
        found = {}
        for text in texts:
            body = {"model": model, "prompt": text, "add_special_tokens": False, "return_token_strs": True}
            try:
                response = await self._client.post(url, json=body)
            except httpx.RequestError:
                return None
            content = parsed(response.content) if response.status_code == 200 else None
            ids, pieces = (content.get("tokens"), content.get("token_strs")) if isinstance(content, dict) else (0, 0)
            if not isinstance(ids, list) or not isinstance(pieces, list) or len(ids) != len(pieces):
                return None
            found[text] = (ids, pieces)
        return found

    async def _ask(self, body: bytes, read: Read[T], *, is_first: bool) -> T:
        import httpx

        def said(error: Exception) -> str:
            return f"{type(error).__name__}: {self._endpoint.words(str(error)) or 'no message'}"

        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._post(body)
        except (TimeoutError, httpx.ReadTimeout, httpx.WriteTimeout) as error:
            raise PassingError(f"no whole answer within {self._timeout_s:g} s (--engine-option timeout_s)") from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise AwayError(said(error)) from error
        except httpx.RequestError as error:
            # Now and then a connection is dropped; twice in a row, a proxy takes them for a server that is away.
            raise (PassingError if is_first else AwayError)(said(error)) from error
        except BodyError as error:
            self.gate.open()
            raise PassingError(str(error)) from error
        try:
            answer = read(reply, self._endpoint)
        except AwayError:
            raise
        except (PassingError, SampleError, SettingError):
            self.gate.open()
            raise
        self.gate.open()
        return answer

    async def _post(self, body: bytes) -> Reply:
        """Send a request and read the reply, within the bound on bodies."""
        async with self._client.stream("POST", self._url, content=body) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            is_error = response.status_code >= 300
            limit = MAX_ERROR_BODY if is_error else MAX_BODY
            content = Body(headers.get("content-encoding", ""), limit, cut=is_error)
            async for chunk in response.aiter_raw():
                if not content.add(chunk):
                    break
            return Reply(response.status_code, headers, content.content, self._url)
