"""The answer in an endpoint's reply, however its server writes it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from lrs2m_builder.engines._base import normal_finish
from lrs2m_builder.engines._endpoint_errors import PassingError, SettingError, error_said, meaning, redirected
from lrs2m_builder.engines._endpoint_wire import Endpoint, Reply
from lrs2m_builder.errors import SampleError
from lrs2m_builder.exchange import Completion

MAX_COUNT = 2**31 - 1
_BROKEN_OFF = {"error", "abort", "aborted", "cancelled", "canceled", "engine_error"}
THINKING = (
    "turn thinking off or give it room: --engine-option 'chat_template_kwargs={enable_thinking: false}', "
    "--sampling reasoning_effort=low or a larger max_tokens"
)


def read_reply(reply: Reply, endpoint: Endpoint) -> Completion:
    """The answer in a reply.

    Raises:
        PassingError, SampleError, SettingError: see `read_choice`.
    """
    choice, message, usage = read_choice(reply, endpoint)
    return _completion(choice, message, usage, endpoint)


def read_choice(reply: Reply, endpoint: Endpoint) -> tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]:
    """The choice, its message and the usage in a reply.

    Raises:
        PassingError: no answer, but another try may bring one (AwayError: nobody is there).
        SampleError: this request is refused.
        SettingError: every request would be refused.
    """
    if 300 <= reply.status < 400:
        raise SettingError(redirected(reply, endpoint))
    content = parsed(reply.body)
    if isinstance(content, list) and content:
        content = content[0]  # some servers put their error into a list
    if not 200 <= reply.status < 300:
        raise meaning(reply.status, error_said(content, reply.body), reply, endpoint)
    if not isinstance(content, dict):
        raise PassingError(f"HTTP {reply.status} with {_no_answer(reply, endpoint)}")
    choices = content.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if isinstance(choice, dict) and message is None and isinstance(choice.get("text"), str):
        message = {"content": choice["text"]}  # as servers of plain completions write it
    error = content.get("error") or (choice.get("error") if isinstance(choice, dict) else None)
    if error or (not isinstance(message, dict) and {"detail", "code", "message"} & content.keys()):
        raise meaning(200, error_said(content if not error else {"error": error}, reply.body), reply, endpoint)
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise PassingError(f"HTTP {reply.status} with {_no_answer(reply, endpoint)}")
    usage = content.get("usage")
    return choice, message, usage if isinstance(usage, dict) else {}


def _completion(
    choice: Mapping[str, Any], message: Mapping[str, Any], usage: Mapping[str, Any], endpoint: Endpoint
) -> Completion:
    text, thoughts = _content(message.get("content"))
    thought = next((message[key] for key in ("reasoning_content", "reasoning", "thinking") if message.get(key)), "")
    thoughts += len(thought) if isinstance(thought, str | list) else 0
    given = choice.get("finish_reason") or choice.get("stop_reason")
    finish = normal_finish(endpoint.words(given) if isinstance(given, str) else given)
    if not text.strip() and isinstance(message.get("refusal"), str):
        text = message["refusal"]  # in words: the checks know them
    if finish in _BROKEN_OFF:
        raise PassingError(f"an answer that was broken off (finish_reason {finish})")
    if finish == "content_filter":
        raise SampleError("content_filter", "the endpoint's content filter held the answer back")
    if not text.strip() and thoughts:
        if finish != "length":
            raise SampleError("thought_only", f"a thought of {thoughts} characters and no answer after it; {THINKING}")
        text, finish = "", "thinking"
    return Completion(
        text=endpoint.answer(text.encode("utf-8", "replace").decode()),
        finish_reason=finish,
        num_prompt_tokens=to_count(usage.get("prompt_tokens")),
        num_tokens=to_count(usage.get("completion_tokens")),
        thought=bool(thoughts),
    )


def _content(content: object) -> tuple[str, int]:
    """The text of a message's content, and how many characters of it are a thought; it may come in parts.

    Raises:
        PassingError: neither text nor parts.
    """
    if content is None or isinstance(content, str):
        return content or "", 0
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        raise PassingError(f"an answer whose content is a {type(content).__name__}")
    text, thoughts = "", 0
    for part in content:
        piece = part.get("text") if isinstance(part, dict) else part
        if isinstance(piece, dict):
            piece = piece.get("value")
        if isinstance(part, dict) and part.get("type") not in {None, "text", "output_text"}:
            thoughts += max(len(str(piece or "")), 1)
        elif isinstance(piece, str):
            apart = text[-1:] in {".", "!", "?"} and piece[:1].isupper()
            text += " " + piece if apart else piece
    return text, thoughts


def to_count(value: object) -> int:
    """A number of tokens, whatever a server writes there; 0 if it is none."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 12:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return 0
    return max(0, min(int(value), MAX_COUNT))


def parsed(body: bytes) -> Any:
    """The JSON of a body; None if it is not JSON or nested too deeply."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _no_answer(reply: Reply, endpoint: Endpoint) -> str:
    if not reply.body.strip():
        return "an empty body"
    return f"a body that is no answer: {endpoint.words(reply.body[:2000].decode('utf-8', 'replace'), 80)!r}"
