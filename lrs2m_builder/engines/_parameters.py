"""Sampling parameters and engine options, held against what an engine takes before it is started."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from lrs2m_builder.errors import MissingExtraError, UserError, nearest

_NAMESPACE = {"Any": Any, "Literal": Literal, "Annotated": Annotated}
_SET_BY_THE_BUILD = {"seed": " (use --seed)", "output_kind": "", "detokenize": "", "n": ""}


class Sampling(BaseModel):
    """Sampling parameters, by the names and with the defaults of vLLM's SamplingParams."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=-1)] = 0
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    repetition_penalty: Annotated[float, Field(gt=0)] = 1.0
    max_tokens: Annotated[int, Field(ge=1)] | None = 16
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()

    @field_validator("stop", mode="before")
    @classmethod
    def _as_tuple(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


def check_sampling(parameters: Mapping[str, Any]) -> None:
    """Check a step's sampling parameters for the transformers engine.

    Raises:
        UserError: one is unknown or out of its range.
    """
    if unknown := sorted(parameters.keys() - Sampling.model_fields.keys()):
        known = ", ".join(sorted(Sampling.model_fields))
        raise UserError(f"--sampling {unknown[0]}: the transformers engine knows {known}")
    _check_known(parameters)


def check_vllm(options: Mapping[str, Any], samplings: Collection[Mapping[str, Any]], own: Collection[str]) -> None:
    """Hold settings against the signatures of vLLM's AsyncEngineArgs and SamplingParams.

    These are read from vLLM's files: importing it takes half a minute on a small machine.

    Args:
        own: options that are not vLLM's.

    Raises:
        MissingExtraError: vLLM is not installed.
        UserError: an unknown name, or a value of the wrong type.
    """
    arguments = _signature("engine/arg_utils.py", "EngineArgs", "AsyncEngineArgs")
    for name, value in options.items():
        if name not in own:
            _check_type("--engine-option", name, value, arguments, f"vLLM's AsyncEngineArgs or one of {_listed(own)}")
    known = _signature("sampling_params.py", "SamplingParams")
    for sampling in samplings:
        for name, value in sampling.items():
            if name in _SET_BY_THE_BUILD:
                raise UserError(f"--sampling {name}: is set by the build{_SET_BY_THE_BUILD[name]}")
            _check_type("--sampling", name, value, known, "vLLM's SamplingParams")
        _check_known({name: value for name, value in sampling.items() if name in Sampling.model_fields})


def _check_known(parameters: Mapping[str, Any]) -> None:
    try:
        Sampling(**parameters)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise UserError(f"--sampling {name}={parameters[name]}: {first['msg'].lower()}") from error


def _check_type(flag: str, name: str, value: Any, known: Mapping[str, str], of: str) -> None:
    if name not in known or name.startswith("_"):
        raise UserError(f"{flag} {name}: not an option of {of}{nearest(name, known)}")
    try:
        # A type that only vLLM knows is left to vLLM.
        adapter = TypeAdapter[Any](eval(known[name], dict(_NAMESPACE)))
    except (NameError, AttributeError, TypeError, SyntaxError):
        return
    try:
        adapter.validate_python(value, strict=not isinstance(value, list | dict))
    except ValidationError as error:
        what = error.errors()[0]["msg"].lower()
        raise UserError(f"{flag} {name}={value}: {what} (vllm takes {known[name]})") from error


def _signature(file: str, *classes: str) -> dict[str, str]:
    """The fields of vLLM's classes with their types as they are written."""
    spec = importlib.util.find_spec("vllm")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("the vllm engine", "vllm", ImportError("No module named 'vllm'"))
    source = Path(spec.submodule_search_locations[0], file).read_text(encoding="utf-8")
    return {
        node.target.id: ast.unparse(node.annotation).strip("'")
        for definition in ast.parse(source).body
        if isinstance(definition, ast.ClassDef) and definition.name in classes
        for node in definition.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
