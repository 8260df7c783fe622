"""The body of a request to an endpoint: the messages with the image, and the parameters."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Mapping
from typing import Any

from PIL import Image

from lrs2m_builder.engines._base import well_known_mark
from lrs2m_builder.engines._endpoint_models import Served
from lrs2m_builder.engines._endpoint_sampling import request_body
from lrs2m_builder.engines._templates import NO_THOUGHT
from lrs2m_builder.errors import SampleError
from lrs2m_builder.exchange import Request


class BodyWriter:
    """Writes the bodies of requests for a served model."""

    def __init__(self, served: Served, options: Mapping[str, Any]) -> None:
        # A caption needs no thought; a server that may not know the switch is sent none.
        defaults = {"chat_template_kwargs": dict(NO_THOUGHT)} if served.has_template else {}
        given = options.get("chat_template_kwargs")
        self._template = {"chat_template_kwargs": given} if given is not None else defaults
        self._name = served.name

    async def fields(self, request: Request, image: Image.Image | None, sampling: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a request's body.

        Raises:
            SampleError: request_refused, the prompt holds what a model reads as a mark.
        """
        if mark := next(filter(None, map(well_known_mark, request.parts)), None):
            raise SampleError("request_refused", f"the prompt holds {mark!r}, which models read as a mark")
        messages = [{"role": "user", "content": await _content(request, image)}]
        if request.system:
            messages.insert(0, {"role": "system", "content": request.system})
        return request_body(self._name, messages, request.seed, {**self._template, **sampling})


def sampling_of(request: Request) -> dict[str, Any]:
    """The parameters of a request that asks for a text; an endpoint is told the schema as a response format."""
    if request.schema is None:
        return dict(request.sampling)
    schema = {"name": "answer", "strict": True, "schema": dict(request.schema)}
    return {**request.sampling, "response_format": {"type": "json_schema", "json_schema": schema}}


async def _content(request: Request, image: Image.Image | None) -> Any:
    if image is None:
        return request.parts[0]
    url = await asyncio.to_thread(_data_url, image)
    before, after = request.parts
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": after}]
    return [{"type": "text", "text": before}, *parts] if before else parts


def _data_url(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=95, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
