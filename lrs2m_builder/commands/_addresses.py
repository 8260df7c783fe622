"""Addresses such as s3://bucket/run on the command line: refused in one line before anything is written.

`Path` would fold "s3://bucket" to a local folder "s3:/bucket", so the words are checked as they were typed. Every
parameter of every command is checked unless its metavar says that it takes free text or this very kind of address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from lrs2m_builder.errors import UserError

FREE_TEXT = ("URL", "TEXT", "SQL", "HOST:PORT|auto")  # metavars; a value of these may begin like an address
OPTIONS_OF_ENGINES = ("engine_option", "sampling")
_OUTPUTS = ("out", "dest", "plot")

_ADDRESS = re.compile(r"(?:^|=|::)([A-Za-z][A-Za-z0-9+.-]*)://([^?#]*)")
_COPY = {
    "s3": "aws s3 cp --recursive {source} {target}",
    "gs": "gcloud storage cp --recursive {source} {target}",
    "gcs": "gcloud storage cp --recursive {source} {target}",
}


def refuse_addresses(words: Mapping[str, Any], parameters: Iterable[Any]) -> None:
    """Check the words of a command before they become paths.

    Args:
        words: what was typed for each parameter, by the parameter's name.

    Raises:
        UserError: a parameter that takes no address was given one.
    """
    for parameter in parameters:
        value = words.get(parameter.name)
        for word in value if isinstance(value, (list, tuple)) else (value,):
            match = _ADDRESS.search(word) if isinstance(word, str) else None
            if match and not _takes(parameter, match[1].lower(), words):
                raise UserError(_refusal(parameter, match[1].lower(), match[2]))


def _takes(parameter: Any, scheme: str, words: Mapping[str, Any]) -> bool:
    if parameter.metavar in FREE_TEXT or parameter.name in OPTIONS_OF_ENGINES or f"{scheme}://" in parameter.metavar:
        return True
    # An endpoint may serve a model under any name, vLLM's under the address from which it loaded it.
    return words.get("engine") == "openai" and parameter.name in ("model", "verify_model")


def _refusal(parameter: Any, scheme: str, rest: str) -> str:
    name = parameter.metavar if parameter.param_type_name == "argument" else parameter.opts[0]
    rest = rest.rpartition("@")[2] if "@" in rest.partition("/")[0] else rest  # a password stays unprinted
    address = f"{scheme}://{rest}"
    return f"{name} {address}: {_advice(address, scheme, rest, is_output=parameter.name in _OUTPUTS)}"


def _advice(address: str, scheme: str, rest: str, *, is_output: bool) -> str:
    if scheme == "file":
        return f"a path is written without file://; give {unquote(rest.removeprefix('localhost')) or '/PATH'}"
    problem = "is an address, not a path on this machine"
    if is_output:
        copying = _COPY.get(scheme, "").format(source="FOLDER", target=address)
        return f"{problem}; write to a local folder and copy it afterwards" + (f": {copying}" if copying else "")
    if scheme == "hf" or rest.startswith("huggingface.co/"):
        return f"{problem}; give OWNER/NAME if --help names the Hub here, or download it first: hf download"
    if scheme in ("http", "https"):
        return f"{problem}; download it first: curl -LO {address}"
    copying = _COPY.get(scheme, "").format(source=address, target="FOLDER")
    return f"{problem}; copy it first" + (f": {copying}" if copying else " and give the folder")
