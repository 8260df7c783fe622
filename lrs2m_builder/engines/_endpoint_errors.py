"""What an endpoint's error means: this request's refusal, a fault that may pass, or a wrong setting.

Servers say the same in many ways: in the status, in an error object inside HTTP 200, in a code, or in words alone. What
an error names goes before its status: a context that is too short is this sample's, an empty account stops the build.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin

from lrs2m_builder.engines._endpoint_wire import Endpoint, Reply, without_path
from lrs2m_builder.errors import SampleError

_PASSING = {408, 409, 420, 423, 425, 429, 449, 499}
_AWAY = {502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 527, 530}
# No key, no money, no right, no such model or address: no other request would fare better. Other 4xx may be an image's.
_SETTING = {401, 402, 403, 404, 405, 407, 410, 421, 426}
_NEXT = {
    401: "set OPENAI_API_KEY to a key it accepts",
    402: "the account behind the key has no credit left",
    403: "the key in OPENAI_API_KEY may not use this model here",
    407: "look at HTTP_PROXY and HTTPS_PROXY",
}
_CODES_OF_STATUS = {
    400: "invalid_request_error bad_request badrequesterror invalid_argument",
    401: "invalid_api_key authentication_error unauthenticated unauthorized",
    402: "insufficient_quota billing_hard_limit_reached billing_not_active insufficient_balance "
    "insufficient_credits insufficient_funds payment_required account_deactivated",
    403: "permission_denied permission_error forbidden",
    404: "model_not_found not_found_error",
    429: "rate_limit_exceeded rate_limit_error too_many_requests resource_exhausted overloaded_error",
    502: "bad_gateway",
    503: "unavailable service_unavailable",
}
_STATUS_OF_CODE = {code: status for status, codes in _CODES_OF_STATUS.items() for code in codes.split()}
_EMPTY_ACCOUNT = re.compile(
    r"insufficient[ _](quota|balance|credits?|funds?)|billing|payment required|out of credits?|credit balance is too"
    r"|(monthly|hard|spending) (spend(ing)? )?limit|arrears",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(
    r"context[ _-]?(length|size|window|limit)|context_length_exceeded|string_above_max_length|exceed_context_size"
    r"|(prompt|input|request)( is|'s)? too long|too many (input |prompt )?tokens|input token count|max(imum)?_model_len"
    r"|longer than the (model'?s )?(max|context)|input tokens.{0,40}exceed|inputs?`? tokens \+",
    re.IGNORECASE,
)
_FILTERED = re.compile(
    r"content[ _-]?(filter|policy|moderation|management)|responsibleai|data_?inspection|moderation|flagged"
    r"|safety system|inappropriate content|prohibited_content",
    re.IGNORECASE,
)


class PassingError(Exception):
    """A failure that another try may not meet; `wait_s` is what the endpoint asked for."""

    def __init__(self, what: str, wait_s: float | None = None) -> None:
        super().__init__(what)
        self.wait_s = wait_s


class AwayError(PassingError):
    """Nobody was there to answer, this request or any other."""


class SettingError(Exception):
    """No other request would fare better: the message says why and what to change."""


@dataclass(frozen=True, slots=True)
class Said:
    """What an error object says: its codes in lower case, a number among them, and its message."""

    codes: tuple[str, ...]
    number: int | None
    message: str


def error_said(content: object, body: bytes) -> Said:
    """The codes and the message of an error, wherever a server puts them."""
    codes: list[str] = []
    number, message = None, ""
    outer = content if isinstance(content, dict) else {}
    error = outer.get("error")
    for part in (error, outer):
        if isinstance(part, str):
            message = message or part
        elif isinstance(part, dict):
            for key in ("code", "type", "status"):
                value = part.get(key)
                if isinstance(value, str) and value.isdecimal() and len(value) == 3:
                    value = int(value)
                if isinstance(value, int) and 300 <= value < 600:
                    number = number or value
                elif isinstance(value, str):
                    codes.append(value[:64].lower())
            raw = part["metadata"].get("raw") if isinstance(part.get("metadata"), dict) else None
            texts = [text for text in (part.get("message"), part.get("detail"), raw) if isinstance(text, str) and text]
            message = message or " ".join(texts)
    return Said(tuple(codes), number, message or body[:2000].decode("utf-8", "replace"))


def meaning(status: int, said: Said, reply: Reply, endpoint: Endpoint) -> Exception:
    """What an error of an endpoint is for us; `status` is 200 if it came inside an answer."""
    words = " ".join((*said.codes, said.message[:2000]))
    wait_s = _retry_after(reply.headers.get("retry-after", ""))
    if _TOO_LONG.search(words) and status in {200, 400, 413, 422, 500}:
        return SampleError("prompt_too_long", endpoint.words(said.message))
    if _FILTERED.search(words) and status in {200, 400, 403, 422, 451}:
        return SampleError("content_filter", endpoint.words(said.message))
    coded = next((_STATUS_OF_CODE[code] for code in said.codes if code in _STATUS_OF_CODE), None)
    meant = status
    if coded == 402 or (_EMPTY_ACCOUNT.search(words) and status in {200, 400, 403, 429} and not _is_rate(said, wait_s)):
        meant = 402
    elif status == 200:
        meant = coded or said.number or 500
    elif coded is not None and status in {400, 422, 429} and coded in {401, 403, 404}:
        meant = coded
    what = f"HTTP {status if status != 200 else meant}: {endpoint.words(said.message) or 'no message'}"
    what += " (inside HTTP 200)" if status == 200 else ""
    if 300 <= meant < 400 or meant in _SETTING:
        return SettingError(f"{what}; {_NEXT.get(meant) or _wrong_address(said, endpoint)}")
    if meant in _AWAY:
        return AwayError(what, wait_s)
    if meant in _PASSING or meant >= 500 or meant < 400:
        return PassingError(what, wait_s)
    return SampleError("request_refused", what)


def _is_rate(said: Said, wait_s: float | None) -> bool:
    """Whether a limit is one of the minute: such an endpoint says how long to wait, or calls it so."""
    return wait_s is not None or any("rate" in code or code == "resource_exhausted" for code in said.codes)


def _wrong_address(said: Said, endpoint: Endpoint) -> str:
    if "model" in said.message.lower():
        return "look at --model"
    advice = f"nothing answers {endpoint.shown}/chat/completions: look at --base-url"
    return advice if endpoint.shown.endswith("/v1") else f"{advice}, perhaps --base-url {endpoint.shown}/v1"


def redirected(reply: Reply, endpoint: Endpoint) -> str:
    """Where a redirect leads and what to write instead; to follow it with the key would hand the key on."""
    location = reply.headers.get("location", "")
    if not location:
        return f"HTTP {reply.status}, a redirect that says not where to; look at --base-url"
    target = urljoin(reply.url, location)
    what = f"HTTP {reply.status}, redirected to {endpoint.words(target)}"
    end = without_path(target.split("?")[0])
    if not end:
        return f"{what}: no address of chat completions, perhaps a login page; look at --base-url and OPENAI_API_KEY"
    base = endpoint.words(target.split("?")[0].rstrip("/")[: -len(end)])
    if base == endpoint.shown:
        return f"{what}: the server's routing wants another path than {end}; look at --base-url"
    return f"{what}; write --base-url {base}"


def _retry_after(value: str) -> float | None:
    """Seconds of a Retry-After header, which holds seconds or a date; None if it holds neither."""
    value = value.strip()
    try:
        seconds = float(value) if value.isascii() else math.nan
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
