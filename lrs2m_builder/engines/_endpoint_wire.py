"""The wire to an endpoint: its address and key, its client, bodies within a bound, and one gate for its words.

Whatever an endpoint says that people will read or that is stored goes through `Endpoint.words`: no key that it echoes
and no code that commands a terminal gets further.
"""

from __future__ import annotations

import base64
import json
import os
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

from lrs2m_builder.errors import UserError, storable
from lrs2m_builder.text import printable

MAX_BODY = 1_000_000  # bytes of an answer, unpacked: a caption has a few hundred, a long thought a few hundred thousand
MAX_ERROR_BODY = 64_000
CONNECT_S = 30.0
_BEARER = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{4,}", re.IGNORECASE)
_Client = TypeVar("_Client")


class BodyError(Exception):
    """A body that is too long, or not packed as it says."""


class Body:
    """What has come of a body, unpacked as it comes, so that a small one can never become a large one in memory."""

    def __init__(self, encoding: str, limit: int, *, cut: bool = False) -> None:
        """Prepare to read.

        Args:
            encoding: the Content-Encoding of the response.
            cut: keep the beginning of a body that is too long, rather than refuse it.
        """
        self.content = b""
        self._limit, self._cut = limit, cut
        self._unzip: Any = None
        if encoding.strip().lower() in {"gzip", "x-gzip", "deflate"}:
            self._unzip = zlib.decompressobj(47)  # gzip or zlib, whichever it is
        elif encoding.strip().lower() not in {"", "identity"}:
            raise BodyError(f"a body packed as {encoding!r}, which was not asked for")

    def add(self, chunk: bytes) -> bool:
        """Take what came next; whether more is wanted.

        Raises:
            BodyError: too long, or not packed as it says.
        """
        room = self._limit + 1 - len(self.content)
        try:
            self.content += self._unzip.decompress(chunk, room) if self._unzip else chunk[:room]
        except zlib.error as error:
            raise BodyError(f"a body that is not packed as it says ({error})") from error
        if len(self.content) <= self._limit:
            return True
        if not self._cut:
            raise BodyError(f"a body of more than {self._limit:,} bytes")
        return False


@dataclass(frozen=True, slots=True)
class Reply:
    """A response as it came: `url` is what was asked, the headers' names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint's address and the key for it.

    Attributes:
        url: the address before /chat/completions, as the user gave it.
        secrets: what must never be shown, in the forms in which it may come back.
    """

    url: str
    key: str
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def shown(self) -> str:
        """The address as messages show it: without a password or a query."""
        import httpx

        url = httpx.URL(self.url)
        return self.words(str(url.copy_with(username=None, password=None, query=None)).rstrip("/"))

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        headers = {"Content-Type": "application/json", "Accept-Encoding": "gzip"}
        return headers | ({"Authorization": f"Bearer {self.key}"} if self.key else {})

    def at(self, path: str, **query: str) -> str:
        """The address of a path below; a query of the base address is kept."""
        import httpx

        url = httpx.URL(self.url)
        return str(url.copy_with(path=url.path.rstrip("/") + path).copy_merge_params(query))

    def words(self, text: str, limit: int = 300) -> str:
        """Foreign text as it may be shown and stored: one line, no key, nothing that commands a terminal."""
        for secret in self.secrets:
            text = re.sub(re.escape(secret), "***", text, flags=re.IGNORECASE)
        text = " ".join(_BEARER.sub(r"\1 ***", text).split())
        return printable(storable(text[:limit]), one_line=True)

    def answer(self, text: str) -> str:
        """An answer without the key; a key that could be a word of a caption is no key worth the name."""
        for secret in self.secrets:
            if len(secret) >= 8 and not secret.isalpha():
                text = text.replace(secret, "***")
        return text


def open_endpoint(options: Mapping[str, Any]) -> Endpoint:
    """The endpoint that the options and OPENAI_API_KEY name; nothing is asked yet.

    Raises:
        UserError: no address, or not one of an endpoint; a key that none can be.
    """
    import httpx

    base_url = options.get("base_url")
    if not isinstance(base_url, str) or not base_url.startswith(("http://", "https://")):
        raise UserError("--base-url: the openai engine needs the endpoint's address, such as http://127.0.0.1:8000/v1")
    key = os.environ.get("OPENAI_API_KEY", "").strip()  # a file's line break would be shown in the client's error
    if not (key.isascii() and key.isprintable()):
        raise UserError("OPENAI_API_KEY: holds characters that no key has; set it again")
    try:
        url = httpx.URL(base_url.strip())
        url.host.encode("idna")
    except (httpx.InvalidURL, ValueError) as error:
        raise UserError(
            f"--base-url {printable(base_url, one_line=True)}: no address ({type(error).__name__}: {error})"
        ) from error
    if not url.host:
        raise UserError(f"--base-url {base_url}: names no host, such as http://127.0.0.1:8000/v1")
    endpoint = Endpoint(str(url), key, _forms(key, url.password, *url.params.values()))
    if wanted := without_path(url.path):
        raise UserError(
            f"--base-url {endpoint.shown}: give the address before that: --base-url {endpoint.shown[: -len(wanted)]}"
        )
    return endpoint


def without_path(path: str) -> str:
    """The end of a path that the engine adds itself, empty if it has none."""
    known = ("/chat/completions", "/completions", "/responses", "/models")
    return next((end for end in known if path.rstrip("/").endswith(end)), "")


def make_client(kind: Callable[..., _Client], endpoint: Endpoint, **settings: Any) -> _Client:
    """A client of httpx, which also reads the environment: proxies and certificates.

    Raises:
        UserError: they cannot be used.
    """
    try:
        return kind(headers=endpoint.headers, follow_redirects=False, **settings)
    except (ValueError, OSError, ImportError) as error:
        raise UserError(
            f"the environment's proxy or certificate settings cannot be used ({endpoint.words(str(error))}); look at "
            "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR"
        ) from error


def _forms(*secrets: str) -> tuple[str, ...]:
    """Secrets as they may come back: as they are, in a URL, in JSON, in Basic authentication; longest first."""
    found = set()
    for secret in secrets:
        if len(secret) >= 4:  # a shorter one would mask half of a message
            packed = base64.b64encode(secret.encode()).decode().rstrip("=")
            found |= {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], secret.replace("/", "\\/"), packed}
    return tuple(sorted(found, key=len, reverse=True))
