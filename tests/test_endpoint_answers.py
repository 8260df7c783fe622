"""What a reply of an endpoint means: an answer, a refusal, a fault that may pass, or a wrong setting."""

from __future__ import annotations

import json
import tracemalloc
import zlib
from typing import Any

import pytest

from lrs2m_builder.engines._endpoint_answers import read_reply
from lrs2m_builder.engines._endpoint_errors import AwayError, PassingError, SettingError
from lrs2m_builder.engines._endpoint_wire import Body, BodyError, Endpoint, Reply, open_endpoint
from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.exchange import Completion

KEY = "sk-se/cret-0123456789"
NESTED = b'{"error":' * 100_000


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return open_endpoint({"base_url": "http://host:8000/v1"})


def read(here: Endpoint, content: Any, status: int = 200, **headers: str) -> Completion:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return read_reply(Reply(status, named, body, here.at("/chat/completions")), here)


def answer(content: Any, finish: Any = "stop", usage: Any = None, **message: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"content": content, **message}, "finish_reason": finish}], "usage": usage}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("A road.", "A road."),
        ([{"type": "text", "text": "A road."}], "A road."),
        ([{"type": "text", "text": "A road. "}, {"type": "text", "text": "A field."}], "A road. A field."),
        (["A road", " and a field."], "A road and a field."),
        ([{"type": "text", "text": "A road."}, {"type": "text", "text": "A field."}], "A road. A field."),
        ([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "A road."}], "A road."),
        ([{"type": "reasoning", "text": "hm"}, {"type": "output_text", "text": "A road."}], "A road."),
        ({"type": "text", "text": {"value": "A road."}}, "A road."),
        ([None, 3, [], {"text": None}, {"text": "A road."}], "A road."),
        ("half \ud83d of a pair", "half ? of a pair"),
        (None, ""),
    ],
)
def test_the_text_of_an_answer_is_read_in_whatever_parts_it_comes(here: Endpoint, content: Any, text: str) -> None:
    assert read(here, answer(content)).text == text


def test_the_text_of_a_plain_completion_is_read(here: Endpoint) -> None:
    assert read(here, {"choices": [{"text": "A road.", "finish_reason": "stop"}]}).text == "A road."


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
def test_a_thought_that_took_all_tokens_is_named_so(here: Endpoint, name: str) -> None:
    completion = read(here, answer(None, "length", **{name: "I see planes ..."}))
    assert (completion.text, completion.finish_reason, completion.thought) == ("", "thinking", True)


def test_a_thought_without_an_answer_says_how_to_turn_thinking_off(here: Endpoint) -> None:
    with pytest.raises(SampleError, match=r"thought_only.*enable_thinking: false") as caught:
        read(here, answer([{"type": "thinking", "thinking": "I see planes"}]))
    assert caught.value.reason == "thought_only"


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -3, "many", "9" * 5000, [1], {}, True, None])
def test_a_count_of_tokens_that_is_none_is_zero(here: Endpoint, value: Any) -> None:
    assert read(here, answer("A road.", usage={"prompt_tokens": value})).num_prompt_tokens == 0


@pytest.mark.parametrize(("value", "count"), [("80", 80), (80.9, 80), (2**80, 2**31 - 1)])
def test_a_count_of_tokens_is_read_from_other_forms_and_bounded(here: Endpoint, value: Any, count: int) -> None:
    assert read(here, answer("A road.", usage={"completion_tokens": value})).num_tokens == count


@pytest.mark.parametrize("usage", [None, [], "none", 3])
def test_an_answer_without_counts_is_an_answer(here: Endpoint, usage: Any) -> None:
    assert read(here, answer("A road.", usage=usage)).num_tokens == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"17",
        b'"text"',
        b"[]",
        b"{}",
        b'{"choices": {}}',
        b'{"choices": [[]]}',
        b'{"choices": [{"message": "text"}]}',
        b'{"choices": [{"message": {"content": 17}}]}',
        b'{"choices": [{"message": {"content": false}}]}',
        b"[" * 200_000,
        NESTED,
        NESTED + b"1" + b"}" * 100_000,
        b'{"choices": [' + b"9" * 5000,
        b'{"choices": [{"message": {"content": "caf\xe9"}}]}',
        b"\x00\xff\xfe",
        b"<html>sign in</html>",
    ],
    ids=range(18),
)
def test_a_body_that_is_no_answer_may_pass(here: Endpoint, body: bytes) -> None:
    with pytest.raises(PassingError):
        read(here, body)


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (200, {"code": 402, "message": "Insufficient credits"}, SettingError),
        (200, {"code": "402"}, SettingError),
        (200, {"code": "insufficient_quota"}, SettingError),
        (200, {"type": "authentication_error"}, SettingError),
        (200, {"code": 429}, PassingError),
        (200, {"code": "rate_limit_exceeded"}, PassingError),
        (200, {"code": 503}, AwayError),
        (200, {"code": "server_error"}, PassingError),
        (200, {"code": float("inf")}, PassingError),
        (200, {"code": [402]}, PassingError),
        (200, "the worker died", PassingError),
        (200, {"code": "context_length_exceeded"}, SampleError),
        (200, {"code": 400, "message": "image is too odd"}, SampleError),
        (429, {"message": "You exceeded your current quota, check your plan and billing details"}, SettingError),
        (429, {"type": "insufficient_quota"}, SettingError),
        (429, {"message": "Rate limit reached", "code": "rate_limit_exceeded"}, PassingError),
        (429, {"status": "RESOURCE_EXHAUSTED", "message": "exceeded your quota, see billing"}, PassingError),
        (400, {"message": "Billing hard limit has been reached"}, SettingError),
        (400, {"message": "Your credit balance is too low"}, SettingError),
        (400, {"status": "UNAUTHENTICATED", "message": "API key not valid"}, SettingError),
        (403, {"message": "your input was flagged by moderation"}, SampleError),
        (403, {"message": "no"}, SettingError),
        (405, {}, SettingError),
        (410, {}, SettingError),
        (404, {"message": "The model `x` does not exist"}, SettingError),
        (400, {"message": "max_tokens is not supported"}, SampleError),
        (413, {}, SampleError),
        (418, {}, SampleError),
        (451, {}, SampleError),
        (409, {}, PassingError),
        (500, {"message": "out of memory"}, PassingError),
        (503, {}, AwayError),
        (522, {}, AwayError),
    ],
)
def test_an_error_is_read_by_its_code_then_its_words_then_its_status(
    here: Endpoint, status: int, error: Any, kind: type[Exception]
) -> None:
    with pytest.raises((SettingError, PassingError, SampleError)) as caught:
        read(here, {"error": error}, status)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 2048 tokens. However, you requested 2292 tokens",
        "the request exceeds the available context size, try increasing it",
        "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
        "prompt is too long: 213000 tokens > 200000 maximum",
        "The input token count (1100000) exceeds the maximum number of tokens allowed (1048576).",
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096",
    ],
)
def test_a_prompt_that_does_not_fit_the_context_is_the_samples(here: Endpoint, message: str) -> None:
    with pytest.raises(SampleError) as caught:
        read(here, {"object": "error", "message": message, "code": 400}, 400)
    assert caught.value.reason == "prompt_too_long"


def test_errors_of_other_forms_are_said_in_their_own_words(here: Endpoint) -> None:
    with pytest.raises(SampleError, match="Extra inputs"):
        read(here, {"detail": [{"type": "extra_forbidden", "msg": "Extra inputs are not permitted"}]}, 422)
    with pytest.raises(SettingError, match="no key"):
        read(here, [{"error": {"code": 401, "message": "no key"}}], 401)
    with pytest.raises(PassingError, match="Too Many"):
        read(here, {"error": {"code": 429, "metadata": {"raw": "Too Many Requests"}}})


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("/v2/chat/completions", r"write --base-url http://host:8000/v2"),
        ("https://host/v1/chat/completions", r"write --base-url https://host/v1"),
        ("https://login.example/sign-in", r"redirected to https://login.example/sign-in: .*login page"),
        ("", r"says not where to"),
    ],
)
def test_a_redirect_says_what_to_write(here: Endpoint, location: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        read(here, b"", 308, Location=location)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("1.5", 1.5), ("-5", 0.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)],
)
def test_retry_after_is_read(here: Endpoint, value: str, seconds: float) -> None:
    with pytest.raises(PassingError) as caught:
        read(here, b"{}", 429, Retry_After=value)
    assert caught.value.wait_s == seconds


@pytest.mark.parametrize(
    "value", ["\u00b2", "\u0663", "nan", "inf", "9" * 5000, "soon", "", "Wed, 21 Oct 99999 07:28:00 GMT", "0x10"]
)
def test_a_retry_after_that_is_no_time_is_none(here: Endpoint, value: str) -> None:
    with pytest.raises(PassingError) as caught:
        read(here, b"{}", 429, Retry_After=value)
    assert caught.value.wait_s is None


@pytest.mark.parametrize(
    "echo",
    [
        KEY,
        KEY.upper(),
        f"Bearer {KEY}",
        "sk-se%2Fcret-0123456789",
        "c2stc2UvY3JldC0wMTIzNDU2Nzg5",
        KEY.replace("/", "\\/"),
        "Authorization: Bearer another-key-of-the-proxy",
    ],
)
def test_no_error_shows_a_key_in_any_form(here: Endpoint, echo: str) -> None:
    for status in (400, 401, 503):
        with pytest.raises((SettingError, PassingError, SampleError)) as caught:
            read(here, {"error": {"message": f"bad key {echo} in your request"}}, status)
        assert "***" in str(caught.value) and echo not in str(caught.value)


def test_no_error_holds_a_line_break_or_what_commands_a_terminal(here: Endpoint) -> None:
    with pytest.raises(SampleError) as caught:
        read(here, {"error": {"message": "one\ntwo\x1b[2J\x07\u202e\ud83d"}}, 400)
    assert "one two" in caught.value.detail and caught.value.detail.isprintable()


def test_a_key_in_an_answer_is_masked_and_a_word_that_is_a_key_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert KEY not in read(open_endpoint({"base_url": "http://host/v1"}), answer(f"A road. {KEY}")).text
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    assert read(open_endpoint({"base_url": "http://host/v1"}), answer("none of it")).text == "none of it"


def test_an_address_is_shown_without_its_password_and_query() -> None:
    here = open_endpoint({"base_url": "https://user:pass-word@host/v1?api-version=1&key=tell-nobody"})
    assert here.shown == "https://host/v1"
    assert here.at("/chat/completions").endswith("@host/v1/chat/completions?api-version=1&key=tell-nobody")
    assert "pass-word" not in here.words("for pass-word") and "nobody" not in here.words("key=tell-nobody")


@pytest.mark.parametrize(
    ("base_url", "said"),
    [
        ("http://host/v1/chat/completions", r"give the address before that: --base-url http://host/v1$"),
        ("http://host/v1/models/", r"--base-url http://host/v1"),
        ("http://host:port/v1", "no address"),
        ("http://", "names no host"),
        ("http://" + "x" * 70 + "/v1", "no address"),
        ("host:8000/v1", "needs the endpoint's address"),
        (8000, "needs the endpoint's address"),
    ],
)
def test_an_address_that_is_none_is_one_line(base_url: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        open_endpoint({"base_url": base_url})


@pytest.mark.parametrize(("encoding", "wbits"), [("gzip", 31), ("deflate", 15), ("x-gzip", 31)])
def test_a_body_that_unpacks_to_a_hundred_megabytes_ends_at_the_limit(encoding: str, wbits: int) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    packed = packer.compress(b" " * 100_000_000) + packer.flush()
    tracemalloc.start()
    with pytest.raises(BodyError, match="more than 1,000,000 bytes"):
        Body(encoding, 1_000_000).add(packed)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_a_packed_body_is_read_chunk_by_chunk() -> None:
    packed = zlib.compress(b"A road. " * 1000)
    body = Body("deflate", 1_000_000)
    for start in range(0, len(packed), 7):
        body.add(packed[start : start + 7])
    assert body.content == b"A road. " * 1000


def test_of_an_error_that_is_too_long_the_beginning_is_kept() -> None:
    body = Body("", 10, cut=True)
    assert body.add(b"12345") and not body.add(b"6789012345")
    assert body.content.startswith(b"1234567890")
