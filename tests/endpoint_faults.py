"""Faults of endpoints, each as a function of a request's handler, and how a build must take them."""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tests.fake_endpoint import Handler
from tests.fake_engine import good_text

KEY = "sk-campaign/0123456789"
ESCAPES = "\x1b[2J\x1b]0;owned\x07"

# passing: another try may succeed; sample: this request is refused; setting: none would succeed; away: nobody is there;
# answer: read all the same; text: read, and the checks say no.
Kind = Literal["passing", "sample", "setting", "away", "answer", "text"]
Behave = Callable[[Handler, dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to answer otherwise than one should."""

    name: str
    kind: Kind
    behave: Behave


def status(code: int, message: Any = "no", **headers: str) -> Behave:
    return lambda handler, body: handler.reply(code, {"error": {"message": message}}, **headers)


def inside(**error: Any) -> Behave:
    """An error in the body of HTTP 200."""
    return lambda handler, body: handler.reply(200, {"choices": None, "error": error})


def raw(content: bytes, code: int = 200, **headers: str) -> Behave:
    return lambda handler, body: handler.reply(code, content, **headers)


def answer(change: Callable[[dict[str, Any], dict[str, Any]], Any], **headers: str) -> Behave:
    """A good answer, changed: `change(choice, usage)`."""

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        choice: dict[str, Any] = {"message": {"content": good_text(body["seed"])}, "finish_reason": "stop"}
        usage: dict[str, Any] = {"prompt_tokens": 7, "completion_tokens": 80}
        change(choice, usage)
        handler.reply(200, {"choices": [choice], "usage": usage}, **headers)

    return behave


def message(**fields: Any) -> Behave:
    return answer(lambda choice, usage: choice["message"].update(fields))


def finish(reason: Any) -> Behave:
    return answer(lambda choice, usage: choice.update(finish_reason=reason))


def counts(value: Any) -> Behave:
    return answer(lambda choice, usage: usage.update(prompt_tokens=value, completion_tokens=value))


def parts(*before: Any) -> Behave:
    def change(choice: dict[str, Any], usage: dict[str, Any]) -> None:
        choice["message"]["content"] = [*before, {"type": "text", "text": choice["message"]["content"]}]

    return answer(change)


def drip(handler: Handler, body: dict[str, Any]) -> None:
    """A blank now and then, for ever."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    for _ in range(600):
        handler.wfile.write(b" ")
        time.sleep(0.1)


def silent(handler: Handler, body: dict[str, Any]) -> None:
    time.sleep(60)


def flood(handler: Handler, body: dict[str, Any]) -> None:
    """A hundred megabytes."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(100 * 2**20))
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b"x" * 2**20)


def bomb(handler: Handler, body: dict[str, Any]) -> None:
    """A hundred megabytes in a hundred kilobytes."""
    handler.reply(200, gzip.compress(b" " * (100 * 2**20), 9), Content_Encoding="gzip")


def broken_chunks(handler: Handler, body: dict[str, Any]) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"zz\r\n{}")
    handler.drop()


def no_http(handler: Handler, body: dict[str, Any]) -> None:
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    handler.drop()


def long_headers(handler: Handler, body: dict[str, Any]) -> None:
    handler.reply(200, b"{}", X_Long="x" * 300_000)


def killed(handler: Handler, body: dict[str, Any]) -> None:
    """The server's process ends: until it is started again, connections are refused."""
    os._exit(7)


def echo(code: int) -> Behave:
    """The key and escape codes in an error."""

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        given = handler.headers["Authorization"]
        handler.reply(code, {"error": {"message": f"{ESCAPES}bad key {given[7:]} in 'Authorization: {given}'\nnext"}})

    return behave


def packed(handler: Handler, body: dict[str, Any]) -> None:
    """A good answer, compressed and in chunks."""
    content = gzip.compress(handler.good(body))
    handler.send_response(200)
    handler.send_header("Content-Encoding", "gzip")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for start in range(0, len(content), 50):
        piece = content[start : start + 50]
        handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
    handler.wfile.write(b"0\r\n\r\n")


def hints(handler: Handler, body: dict[str, Any]) -> None:
    """An interim response before the good one."""
    handler.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
    handler.answer(body)


def marked(handler: Handler, body: dict[str, Any]) -> None:
    handler.reply(200, b"\xef\xbb\xbf" + handler.good(body))


_TOO_LONG = "This model's maximum context length is 2048 tokens. However, you requested 2292 tokens"
_QUOTA = "You exceeded your current quota, please check your plan and billing details."
_THOUGHT = b'{"choices": [{"message": {"content": null, "reasoning": "I see ..."}, "finish_reason": "length"}]}'
_STREAM = b'data: {"choices":[{"delta":{"content":"A"}}]}\n\ndata: [DONE]\n\n'
_DEEP = b'{"choices":' * 200_000 + b"1" + b"}" * 200_000
_INVALID = b'{"choices": [{"message": {"content": "caf\xe9"}}]}'

FAULTS: tuple[Fault, ...] = (
    *(Fault(f"status-{code}", "setting", status(code)) for code in (401, 402, 403, 404, 405, 407, 410)),
    Fault("redirect-login", "setting", status(302, Location="https://login.example/sign-in?next=x")),
    Fault("redirect-other-path", "setting", status(308, Location="/v2/chat/completions")),
    Fault("redirect-nowhere", "setting", status(301)),
    Fault("not-modified", "setting", raw(b"", 304)),
    Fault("inside-402", "setting", inside(message="Insufficient credits", code=402)),
    Fault("inside-quota", "setting", inside(message="no", type="insufficient_quota")),
    Fault("inside-key", "setting", inside(message="no", code="invalid_api_key")),
    Fault("429-quota", "setting", raw(b'{"error": {"message": "no", "code": "insufficient_quota"}}', 429)),
    Fault("429-billing-words", "setting", status(429, _QUOTA)),
    Fault("400-billing", "setting", status(400, "Billing hard limit has been reached")),
    Fault("401-echo", "setting", echo(401)),
    *(Fault(f"status-{code}", "sample", status(code)) for code in (400, 413, 415, 418, 422, 451)),
    Fault("400-echo", "sample", echo(400)),
    Fault("422-detail", "sample", lambda h, b: h.reply(422, {"detail": [{"loc": ["body"], "msg": "extra forbidden"}]})),
    Fault("400-context", "sample", status(400, _TOO_LONG)),
    Fault("inside-context", "sample", inside(message="no", code="context_length_exceeded")),
    Fault("400-filter", "sample", lambda h, b: h.reply(400, {"error": {"code": "content_filter", "message": "no"}})),
    Fault("403-moderation", "sample", status(403, "your input was flagged by moderation")),
    Fault("finish-filter", "sample", answer(lambda c, u: c.update(finish_reason="content_filter"))),
    Fault("thought-only", "sample", message(content=None, reasoning_content="I see roofs ...")),
    *(Fault(f"status-{code}", "passing", status(code)) for code in (408, 409, 425, 429, 500, 501, 529)),
    *(
        Fault(f"retry-after-{name}", "passing", status(429, Retry_After=value))
        for name, value in (
            ("superscript", "\u00b2"),
            ("nan", "nan"),
            ("minus", "-5"),
            ("past", "Wed, 21 Oct 2015 07:28:00 GMT"),
            ("year", "Wed, 21 Oct 99999 07:28:00 GMT"),
            ("words", "soon"),
        )
    ),
    Fault("inside-429", "passing", inside(message="Provider returned error", code=429)),
    Fault("inside-rate", "passing", inside(message="no", code="rate_limit_exceeded")),
    Fault("inside-text", "passing", lambda h, b: h.reply(200, {"error": "worker died"})),
    Fault("204", "passing", raw(b"", 204)),
    Fault("206-half", "passing", raw(b'{"choices": [{"mess', 206)),
    Fault("202-empty", "passing", raw(b"", 202)),
    Fault("empty", "passing", raw(b"")),
    Fault("html", "passing", raw(b"<html>bad gateway</html>", Content_Type="text/html")),
    Fault("list", "passing", raw(b"[1, 2]")),
    Fault("number", "passing", raw(b"17")),
    Fault("no-choice", "passing", raw(b'{"choices": []}')),
    Fault("choice-number", "passing", raw(b'{"choices": [3]}')),
    Fault("message-list", "passing", raw(b'{"choices": [{"message": []}]}')),
    Fault("content-number", "passing", message(content=17)),
    Fault("huge-number", "passing", raw(b'{"choices": [' + b"9" * 6000 + b"]}")),
    Fault("deep", "passing", raw(_DEEP)),
    Fault("invalid-utf8", "passing", raw(_INVALID)),
    Fault("stream", "passing", raw(_STREAM, Content_Type="text/event-stream")),
    Fault("finish-abort", "passing", finish("abort")),
    Fault("no-gzip", "passing", raw(b"not gzip", Content_Encoding="gzip")),
    Fault("brotli", "passing", raw(b"\x0b\x02\x80", Content_Encoding="br")),
    Fault("bomb", "passing", bomb),
    Fault("flood", "passing", flood),
    Fault("drip", "passing", drip),
    Fault("silent", "passing", silent),
    Fault("truncated", "passing", lambda h, b: h.truncate(b)),
    Fault("broken-chunks", "passing", broken_chunks),
    Fault("long-headers", "passing", long_headers),
    *(Fault(f"status-{code}", "away", status(code)) for code in (502, 503, 504, 520)),
    Fault("503-html", "away", raw(b"<html>\x1b[31mno healthy upstream</html>", 503)),
    Fault("inside-503", "away", inside(message="overloaded", code=503)),
    Fault("dropped", "away", lambda h, b: h.drop()),
    Fault("no-http", "away", no_http),
    Fault("killed", "away", killed),
    Fault("parts", "answer", parts()),
    Fault("parts-thinking", "answer", parts({"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]})),
    Fault("parts-odd", "answer", parts(None, 3, {"text": None}, {"type": "image_url"}, [])),
    Fault("reasoning-beside", "answer", message(reasoning_content="I see roofs ...")),
    *(
        Fault(f"usage-{name}", "answer", counts(value))
        for name, value in (
            ("infinite", float("inf")),
            ("nan", float("nan")),
            ("huge", 2**80),
            ("minus", -1),
            ("text", "80"),
            ("words", "many"),
            ("half", 80.5),
            ("list", [1]),
            ("true", True),
        )
    ),
    Fault("usage-empty", "answer", answer(lambda c, u: u.clear())),
    *(
        Fault(f"finish-{name}", "answer", finish(value))
        for name, value in (
            ("null", None),
            ("number", 0),
            ("object", {"type": "stop", "matched": 2}),
            ("surrogate", "st\ud83dop"),
            ("long", "x" * 70_000),
            ("escapes", ESCAPES),
            ("echo", KEY),
        )
    ),
    Fault("packed", "answer", packed),
    Fault("hints", "answer", hints),
    Fault("byte-order-mark", "answer", marked),
    Fault("finish-max-tokens", "text", finish("MAX_TOKENS")),
    Fault("thought-to-the-end", "text", raw(_THOUGHT)),
    Fault("null", "text", message(content=None)),
    Fault("refusal", "text", message(content=None, refusal="I'm sorry, but I cannot help with that.")),
    Fault("long", "text", message(content="The roof is grey. " * 50_000)),
    Fault("key-in-the-text", "text", message(content=f"Here is a caption with {KEY} in it.")),
)  # fmt: skip
