"""Names of models as servers write them, lists of every form, and parameters that are left out."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from lrs2m_builder.engines._endpoint_models import served_model
from lrs2m_builder.engines._endpoint_sampling import check_sampling, request_body
from lrs2m_builder.engines._endpoint_wire import open_endpoint
from lrs2m_builder.engines.openai import check, load
from lrs2m_builder.errors import UserError
from tests.fake_endpoint import Handler, endpoint


def name_for(model: str, listed: Any) -> str:
    """The name that is sent to a server with this list: a body, bytes, or what answers the question."""

    def list_models(handler: Handler) -> None:
        listed(handler) if callable(listed) else handler.reply(200, listed)

    with endpoint(lambda handler, body, number: None, list_models=list_models) as server:
        return served_model(open_endpoint({"base_url": server.url}), model, 0, told=False).name


def ids(*names: str) -> dict[str, Any]:
    return {"object": "list", "data": [{"id": name} for name in names]}


@pytest.mark.parametrize(
    ("model", "listed", "sent"),
    [
        ("llava", ids("llava:latest", "qwen2.5vl:7b"), "llava:latest"),
        ("llava:latest", ids("llava"), "llava"),
        ("gemini-x", ids("models/gemini-x"), "models/gemini-x"),
        ("models/gemini-x", ids("gemini-x"), "gemini-x"),
        ("qwen/qwen2-vl-7b-instruct", ids("Qwen/Qwen2-VL-7B-Instruct"), "Qwen/Qwen2-VL-7B-Instruct"),
        ("llava", ids("LLaVA", "llava"), "llava"),
        ("llava", {"models": [{"name": "llava:latest", "model": "llava:latest"}]}, "llava:latest"),
        ("llava", [{"id": "llava:latest"}], "llava:latest"),
        ("llava", ["llava:latest"], "llava:latest"),
        ("llava", {"data": {"llava:latest": {}}}, "llava:latest"),
        ("llava", {"data": ["LLAVA"]}, "LLAVA"),
    ],
)
def test_a_model_is_found_by_the_name_that_its_server_writes(model: str, listed: Any, sent: str) -> None:
    assert name_for(model, listed) == sent


@pytest.mark.parametrize(
    ("model", "listed", "nearest"),
    [
        ("llava", ids("llava:7b", "bakllava"), "llava:7b"),
        ("qwen2-vl-7b", ids("mistral", "Qwen2-VL-7B-Instruct"), "Qwen2-VL-7B-Instruct"),
        ("Qwen2-VL-7B-Instruct", ids("Qwen/Qwen2-VL-7B-Instruct", "other"), "Qwen/Qwen2-VL-7B-Instruct"),
        ("lava", ids("llava:latest"), "llava:latest"),
        ("llava", ids("LLAVA", "LLaVA"), "LLAVA"),
    ],
)
def test_a_model_that_is_not_served_is_refused_with_the_nearest_name(model: str, listed: Any, nearest: str) -> None:
    with pytest.raises(UserError, match=f"not served by .*write --model {nearest}; it serves"):
        name_for(model, listed)


@pytest.mark.parametrize(
    "listed",
    [
        b"",
        b"<html>hello</html>",
        b"[" * 100_000,
        {"data": None},
        {"data": []},
        {"data": [1, None, {"id": 3}, []]},
        {"data": "llava"},
        17,
        {**ids("a", "b"), "has_more": True, "last_id": "b"},
        {**ids("a", "b"), "nextPageToken": "x"},
        lambda handler: handler.reply(404, {"error": "no"}),
        lambda handler: handler.reply(500, {"error": "no"}),
        lambda handler: handler.reply(200, b"not gzip", Content_Encoding="gzip"),
    ],
    ids=range(13),
)
def test_a_list_that_cannot_be_read_to_its_end_refuses_no_model(listed: Any) -> None:
    assert name_for("llava", listed) == "llava"


@pytest.mark.parametrize("parameter", ["after", "after_id", "pageToken"])
def test_the_pages_of_a_list_are_followed(parameter: str) -> None:
    pages = {"": ids("a", "b"), "b": ids("c", "Llava")}

    def paged(handler: Handler) -> None:
        query = parse_qs(urlsplit(handler.path).query)
        page = query.get(parameter, [""])[0]
        more = {"nextPageToken": "b"} if parameter == "pageToken" else {"has_more": True, "last_id": "b"}
        handler.reply(200, pages[page] | (more if page != "b" else {}))

    assert name_for("llava", paged) == "Llava"
    with pytest.raises(UserError, match="it serves a, b, c, Llava"):
        name_for("other", paged)


@pytest.mark.parametrize("target", ["/v2/models", "https://login.example/sign-in"])
def test_a_list_that_is_redirected_is_one_line(target: str) -> None:
    with pytest.raises(UserError, match="redirected"):
        name_for("llava", lambda handler: handler.reply(302, b"", Location=target))


def test_an_address_without_its_v1_is_told_what_to_write() -> None:
    def list_models(handler: Handler) -> None:
        handler.reply(200, ids("llava")) if handler.path == "/v1/models" else handler.reply(404, b"not found")

    with endpoint(lambda handler, body, number: None, list_models=list_models) as server:
        address = server.url.removesuffix("/v1")
        with pytest.raises(UserError, match=f"write --base-url {address}/v1$"):
            load("llava", "llm", {"base_url": address})


def test_names_of_a_list_cannot_command_the_terminal() -> None:
    with pytest.raises(UserError) as caught:
        name_for("llava", ids("\x1b[2Jother\nname"))
    assert str(caught.value).isprintable()


def test_a_parameter_that_is_null_is_left_out_of_the_request() -> None:
    sampling = {"seed": None, "max_tokens": None, "temperature": None, "max_completion_tokens": 300}
    body = request_body("m", [], 7, sampling)
    assert body == {"model": "m", "messages": [], "max_completion_tokens": 300}
    assert request_body("m", [], 7, {"top_p": 0.5})["seed"] == 7


@pytest.mark.parametrize(
    "sampling",
    [
        {"temperature": 0, "top_p": 1, "max_tokens": 400, "stop": ["x"]},
        {"seed": None, "max_tokens": None, "max_completion_tokens": 9},
        {"chat_template_kwargs": {"enable_thinking": False}, "reasoning_effort": "low"},
        {"a_name_of_the_servers_own": {"deep": [1, 2]}},
    ],
)
def test_sampling_that_an_endpoint_may_know_goes_through(sampling: Any) -> None:
    check_sampling(sampling)
    json.dumps(request_body("m", [], 7, sampling), allow_nan=False)


@pytest.mark.parametrize(
    ("sampling", "said"),
    [
        ({"temprature": 0.2}, "write temperature"),
        ({"max_token": 2}, "write max_tokens"),
        ({"temperature": "hot"}, "must be a number"),
        ({"temperature": True}, "must be a number"),
        ({"max_tokens": 2.5}, "must be a whole number"),
        ({"max_tokens": -1}, "must be a whole number"),
        ({"chat_template_kwargs": "enable_thinking"}, "must be an object"),
        ({"reasoning_effort": 3}, "must be a text"),
        ({"top_p": float("nan")}, "cannot be sent"),
        ({"own": float("inf")}, "cannot be sent"),
        ({"model": "other"}, "--model"),
        ({"messages": []}, "prompt"),
        ({"stream": True}, "read whole"),
        ({"seed": 3}, "--seed"),
    ],
)
def test_sampling_that_is_wrong_is_refused_before_anything_is_asked(sampling: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        check("m", "llm", {"base_url": "http://127.0.0.1:9/v1"}, [sampling])


@pytest.mark.parametrize(
    "options",
    [
        {"wait_s": -1},
        {"wait_s": float("inf")},
        {"wait_s": "long"},
        {"timeout_s": float("nan")},
        {"timeout_s": 0},
        {"max_in_flight": 2.5},
        {"max_tries": True},
        {"max_tries": 1.5},
        {"base_url": "http://127.0.0.1:9/v1/chat/completions"},
        {"dtype": "float16"},
    ],
)
def test_an_option_that_is_wrong_is_refused_before_anything_is_asked(options: Any) -> None:
    with pytest.raises(UserError, match="--"):
        check("m", "llm", {"base_url": "http://127.0.0.1:9/v1", **options})


@pytest.mark.parametrize(
    ("variable", "value"), [("HTTP_PROXY", "foo://127.0.0.1:1"), ("SSL_CERT_FILE", "/nowhere/at/all.pem")]
)
def test_a_proxy_or_certificate_that_cannot_be_used_is_one_line(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match="look at HTTP_PROXY"):
        load("m", "llm", {"base_url": "http://127.0.0.1:9/v1"})
