"""Which models an endpoint serves, by its list: asked once, before anything else."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urljoin

from lrs2m_builder.engines._endpoint_answers import parsed
from lrs2m_builder.engines._endpoint_wire import Body, BodyError, Endpoint, Reply, make_client
from lrs2m_builder.errors import UserError
from lrs2m_builder.terminal import duration, say

MAX_LIST = 16_000_000  # bytes; lists of hosts with hundreds of models have a few hundred thousand
MAX_PAGES = 50
LIST_S = 30.0  # for the whole list
PAUSE_S = 2.0
_WITH_TEMPLATE = {"vllm", "sglang"}  # `owned_by` in their lists

# Endpoints that answered in this process: one that is away later is waited for, not taken for a wrong address.
_reached: set[str] = set()


class Served(NamedTuple):
    """How an endpoint serves a model.

    Attributes:
        name: as the endpoint writes it.
        has_template: whether it says that it is a server which takes chat_template_kwargs (vLLM, SGLang); others may
            refuse a request that has them.
    """

    name: str
    has_template: bool


def served_model(endpoint: Endpoint, model: str, wait_s: float, *, told: bool) -> Served:
    """The model as the endpoint writes it; under the same name if its list cannot be read to the end.

    Args:
        wait_s: how long an endpoint that is away is waited for.
        told: the user asked for that; else one that never answered is taken for a wrong address.

    Raises:
        UserError: nobody is there, the key is refused, the address leads elsewhere, or the model is not served.
    """
    import httpx

    waits = told or endpoint.url in _reached
    with make_client(httpx.Client, endpoint, timeout=LIST_S) as client:
        reply = _get_when_there(client, endpoint, wait_s if waits else 0.0)
        _reached.add(endpoint.url)
        _check_reply(client, reply, endpoint)
        names, is_whole = _all_names(client, endpoint, reply)
    has_template = reply.status == 200 and not _owners(parsed(reply.body)).isdisjoint(_WITH_TEMPLATE)
    found = _same(model, names)
    if len(found) == 1 or model in found:
        return Served(model if model in found else found[0], has_template)
    if not is_whole or not names:
        return Served(model, has_template)  # an endpoint that lists nothing may serve it all the same
    shown = [endpoint.words(name, 100) for name in names]
    near = found or _near(model, names)
    nearest = f"; write --model {endpoint.words(near[0], 100)}" if near else ""
    raise UserError(f"--model {model}: not served by {endpoint.shown}{nearest}; it serves {', '.join(shown[:10])}")


def _get_when_there(client: Any, endpoint: Endpoint, wait_s: float) -> Reply:
    import httpx

    began = time.monotonic()
    is_said = False
    while True:
        try:
            reply = _get(client, endpoint.at("/models"))
            if is_said:
                say(f"{endpoint.shown} is back after {duration(time.monotonic() - began)}")
            return reply
        except (httpx.HTTPError, UnicodeError, OSError) as error:
            what = f"{type(error).__name__}: {endpoint.words(str(error))}"
            left = began + wait_s - time.monotonic()
            if left <= 0:
                raise UserError(f"--base-url {endpoint.shown}: no answer ({what}); is the server up?") from error
        if not is_said:
            is_said = True
            say(f"waiting for {endpoint.shown} ({what}), {duration(left)} at most")
        time.sleep(min(PAUSE_S, left))


def _get(client: Any, url: str) -> Reply:
    """A reply within the bounds on size and time; a body that breaks them is empty."""
    until = time.monotonic() + LIST_S
    with client.stream("GET", url) as response:
        headers = {name.lower(): value for name, value in response.headers.items()}
        try:
            body = Body(headers.get("content-encoding", ""), MAX_LIST)
            for chunk in response.iter_raw():
                body.add(chunk)
                if time.monotonic() > until:
                    raise BodyError("too slow")
            content = body.content
        except BodyError:
            content = b""
        return Reply(response.status_code, headers, content, url)


def _check_reply(client: Any, reply: Reply, endpoint: Endpoint) -> None:
    """Refuse what the list's status says of the key and the address."""
    flag = f"--base-url {endpoint.shown}: HTTP {reply.status}"
    if reply.status in {401, 403}:
        raise UserError(f"{flag}; set OPENAI_API_KEY to a key it accepts")
    if 300 <= reply.status < 400:
        target = endpoint.words(urljoin(reply.url, reply.headers.get("location", ""))).rstrip("/")
        if not target.endswith("/models"):
            raise UserError(f"{flag}, redirected to {target}: no endpoint, perhaps a login page; look at the address")
        if target.removesuffix("/models") != endpoint.shown:
            raise UserError(f"{flag}, redirected; write --base-url {target.removesuffix('/models')}")
    if reply.status == 404 and not endpoint.shown.endswith("/v1"):
        below = _get_page(client, endpoint.at("/v1/models"))
        if any(_names(below)):
            raise UserError(f"{flag}, nothing is there; write --base-url {endpoint.shown}/v1")


def _get_page(client: Any, url: str) -> Any:
    """What a page of a list holds; None if it cannot be had."""
    import httpx

    try:
        reply = _get(client, url)
    except httpx.HTTPError:
        return None
    return parsed(reply.body) if reply.status == 200 else None


def _all_names(client: Any, endpoint: Endpoint, reply: Reply) -> tuple[list[str], bool]:
    """The names on all pages of a list, and whether its end was reached."""
    names: dict[str, None] = {}
    content = parsed(reply.body) if reply.status == 200 else None
    for _ in range(MAX_PAGES):
        before = len(names)
        names |= dict.fromkeys(_names(content))
        query = _next_page(content)
        if not query:
            return list(names), content is not None
        if len(names) == before:
            break  # the same page again
        content = _get_page(client, endpoint.at("/models", **query))
    return list(names), False


def _next_page(content: object) -> dict[str, str]:
    """How to ask for the page that follows; empty if this is the last one."""
    if not isinstance(content, dict):
        return {}
    token = content.get("next_page_token") or content.get("nextPageToken")
    if token:
        return {"pageToken": str(token), "page_token": str(token)}
    if content.get("has_more") or content.get("next"):
        last = content.get("last_id") or next(reversed(list(_names(content))), "")
        return {"after": str(last), "after_id": str(last), "limit": "1000"}
    return {}


def _names(content: object) -> Iterator[str]:
    """The names in a list, whatever its form."""
    if isinstance(content, dict):
        content = next((content[key] for key in ("data", "models", "results") if content.get(key)), [])
        if isinstance(content, dict):
            content = [{"id": key} for key in content]
    for entry in content if isinstance(content, list) else []:
        if isinstance(entry, dict):
            entry = next(
                (entry[key] for key in ("id", "name", "model", "key") if isinstance(entry.get(key), str)), None
            )
        if isinstance(entry, str) and entry:
            yield entry


def _owners(content: object) -> set[str]:
    """Who the entries of a list say that they belong to."""
    entries = content.get("data") if isinstance(content, dict) else None
    dicts = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return {owner for entry in dicts if isinstance(owner := entry.get("owned_by"), str)}


def _plain(name: str) -> str:
    """A name without what servers add to it or take off: another case, a folder `models/`, a tag `:latest`."""
    return name.casefold().removeprefix("models/").removesuffix(":latest")


def _same(model: str, names: list[str]) -> list[str]:
    return [name for name in names if name == model] or [name for name in names if _plain(name) == _plain(model)]


def _near(model: str, names: list[str]) -> list[str]:
    """Served names that the user may have meant, the nearest first."""
    last = _plain(model).rsplit("/", 1)[-1]
    ends = {name: _plain(name).rsplit("/", 1)[-1] for name in names}
    same_end = [name for name, end in ends.items() if end.split(":")[0] == last.split(":")[0]]
    by_plain = {_plain(name): name for name in names}
    close = [by_plain[plain] for plain in difflib.get_close_matches(_plain(model), by_plain, n=3, cutoff=0.6)]
    by_end = {end: name for name, end in ends.items()}
    close += [by_end[end] for end in difflib.get_close_matches(last, by_end, n=1, cutoff=0.6)]
    return same_end + close
