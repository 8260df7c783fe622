"""Sampling parameters of an endpoint: what is sent, and what can be told to be wrong before it is sent.

An endpoint may know parameters that nobody here has heard of, so an unknown name goes through; one that is a slip of a
known name does not.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

from lrs2m_builder.engines._options import wrong_kind
from lrs2m_builder.errors import UserError

_KINDS = {
    **dict.fromkeys(("temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty"), "number"),
    **dict.fromkeys(("repetition_penalty", "length_penalty"), "number"),
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "min_tokens", "n", "top_logprobs", "best_of"), "whole"),
    **dict.fromkeys(("reasoning_effort", "service_tier", "user", "verbosity"), "text"),
    **dict.fromkeys(("chat_template_kwargs", "mm_processor_kwargs", "response_format", "logit_bias"), "object"),
    **dict.fromkeys(("thinking", "extra_body"), "object"),
}
_KNOWN = {*_KINDS, "seed", "stop", "stop_token_ids", "logprobs", "reasoning", "ignore_eos"}
_OURS = {"model": "--model", "messages": "the recipe's prompt", "stream": "nothing: answers are read whole"}


def request_body(model: str, messages: Any, seed: int, sampling: Mapping[str, Any]) -> dict[str, Any]:
    """What is sent; a parameter that is null is left out, for servers that do not know it."""
    fields = {"seed": seed, **sampling}
    given = {name: value for name, value in fields.items() if value is not None}
    return {"model": model, "messages": messages, **given}


def check_sampling(sampling: Mapping[str, Any]) -> None:
    """Check a step's sampling parameters.

    Raises:
        UserError: one is of the wrong kind, a slip of the pen, or not to be set here.
    """
    for name, value in sampling.items():
        flag = f"--sampling {name}={value}"
        if name in _OURS:
            raise UserError(f"--sampling {name}: not a sampling parameter; this is set by {_OURS[name]}")
        if name == "seed" and value is not None:
            raise UserError(f"{flag}: each request has a seed of its own, from --seed; seed=null sends none")
        if name not in _KNOWN and (near := difflib.get_close_matches(name, _KNOWN, n=1, cutoff=0.88)):
            raise UserError(f"--sampling {name}: write {near[0]}")
        try:
            json.dumps(value, allow_nan=False)
        except (ValueError, TypeError, RecursionError) as error:
            raise UserError(f"{flag}: cannot be sent as JSON ({error})") from error
        if wanted := wrong_kind(_KINDS.get(name, ""), value):
            raise UserError(f"{flag}: {wanted}, or null to leave it out")
