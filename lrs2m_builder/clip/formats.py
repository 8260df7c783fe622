"""Reads the weights of a CLIP from any public format, recognised by its keys (docs/models.md).

No code in a file is run: safetensors, or `torch.load` with `weights_only=True`. A TorchScript archive is a program,
so it is opened only if its hash is that of one of OpenAI's.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PosixPath
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import CLIPConfig, CLIPModel

from lrs2m_builder.clip.architecture import config_from_open_clip, config_from_shapes, config_from_transformers
from lrs2m_builder.clip.fgclip import MARK as FGCLIP_MARK
from lrs2m_builder.clip.fgclip import one_tower
from lrs2m_builder.clip.kps import KEPT_ROWS
from lrs2m_builder.clip.locate import INDEX_SUFFIX, find_weights
from lrs2m_builder.clip.names import State, to_transformers
from lrs2m_builder.clip.preprocess import Preprocess, read_preprocess
from lrs2m_builder.clip.wrappers import unwrap
from lrs2m_builder.errors import UserError, one_line
from lrs2m_builder.files import read_json

# SHA-256 of OpenAI's ViT archives, from their addresses.
OPENAI_ARCHIVES = {
    "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",  # ViT-B-32.pt
    "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",  # ViT-B-16.pt
    "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",  # ViT-L-14.pt
    "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",  # ViT-L-14-336px.pt
}
# Functions called by the pickles of numpy's numbers and arrays.
_numpy_scalar: Any = np.int64(0).__reduce__()[0]
_numpy_array: Any = np.zeros(0).__reduce__()[0]
_UNSAFE = re.compile(r"GLOBAL ([\w.]+)|[Tt]ype (?:of )?<?class '([\w.]+)'|global ([\w.]+)")
# In state dicts of other releases: constants and sizes, not weights.
_DROPPED = {"input_resolution", "context_length", "vocab_size", "mask1", "mask2", "attn_mask"}
_POSITION_IDS = (".position_ids",)
POSITIONS = "text_model.embeddings.position_embedding.weight"
_NAMED = 3  # maximum number of wrong keys in an error


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The content of a file, with transformers' names.

    Attributes:
        state: every weight of a `CLIPModel(config)`, in its shape, in float32.
        config: the architecture; `text_config.max_position_embeddings` is the file's own context.
        format: "transformers", "open_clip", "custom_text", "longclip" or "fgclip".
    """

    state: State
    config: CLIPConfig
    preprocess: Preprocess
    format: str


def read_checkpoint(path: Path, *, activation: str | None = None, context_length: int | None = None) -> Checkpoint:
    """Read a weights file, or a transformers or open_clip folder.

    Args:
        context_length: chooses between the two text towers of an FG-CLIP, for 77 and (also by default) 248 tokens.
        activation: "quick_gelu" or "gelu", overrides the folder's config or the default for the format.

    Raises:
        UserError: the file cannot be read or is not a CLIP with a ViT, or a weight is missing, unknown or misshapen.
    """
    if activation not in {None, "quick_gelu", "gelu"}:
        raise UserError(f"no activation {activation!r}; known: quick_gelu, gelu")
    weights = find_weights(path) if path.is_dir() else path
    raw = _plain_state(_read_tensors(weights), weights)
    bias = raw.pop("logit_bias", None)  # from a sigmoid loss
    kind = detect_format(raw, str(weights))
    if kind == "fgclip":
        raw = one_tower(raw, context_length)
    state, unknown = _rename(raw, kind)
    folder = path if path.is_dir() else None
    config, preprocess = _describe(folder, kind, state, activation, weights)
    _refuse_wrong_keys(state, unknown, config, f"{weights} ({kind})")
    if bias is not None:
        config.logit_bias = float(bias)
    return Checkpoint(state, config, preprocess, kind)


def detect_format(names: Collection[str], where: str) -> str:
    """The format, recognised by the keys.

    Raises:
        UserError: the keys are not those of a CLIP with a ViT image tower.
    """
    if "positional_embedding_res" in names:
        return "longclip"
    if any(name.startswith("visual.attnpool.") for name in names):
        raise UserError(f"{where}: a CLIP with a ResNet image tower; only ViT towers can be loaded")
    if "positional_embedding" in names and "visual.proj" in names:
        return "open_clip"
    if "text.positional_embedding" in names and "visual.proj" in names:
        return "custom_text"
    if FGCLIP_MARK in names:
        return "fgclip"
    if POSITIONS in names:
        return "transformers"
    first = ", ".join(sorted(names)[:_NAMED]) or "nothing"
    raise UserError(f"{where}: not a CLIP that can be loaded (it holds {first}); docs/models.md lists the formats")


def _read_tensors(path: Path) -> dict[str, Any]:
    if path.name.endswith(INDEX_SUFFIX):
        return _read_sharded(path)
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        if _is_torchscript(path):
            return _read_openai_archive(path)
        with torch.serialization.safe_globals(_harmless()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        if not (unsafe := _UNSAFE.search(str(error))):
            raise _unreadable(path, error) from error
        raise UserError(
            f"{path}: not opened: it holds {_first(unsafe)} beside the weights and could run programs; "
            "where it was made, save only model.state_dict() (torch.save or safetensors) and load that"
        ) from error
    # A broken or foreign file raises any of these, depending on where reading fails.
    except (OSError, RuntimeError, ValueError, EOFError, LookupError, TypeError, SafetensorError) as error:
        raise _unreadable(path, error) from error
    if not isinstance(content, Mapping):
        raise UserError(
            f"{path}: holds {type(content).__name__}, not a state dict; save model.state_dict() and load that"
        )
    return unwrap(content, str(path))


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"{path}: cannot be read as weights ({one_line(error)[:200]}); download it or save it again")


def _harmless() -> list[Any]:
    """Harmless types that training programs save beside weights: numpy numbers, paths, a program's arguments."""
    numbers = {np.dtype(kind) for kind in np.sctypeDict.values() if np.dtype(kind).kind in "biuf"}
    old_names = [(make, f"numpy.core.multiarray.{make.__name__}") for make in (_numpy_scalar, _numpy_array)]  # numpy 1
    kinds = {type(number) for number in numbers}
    return [argparse.Namespace, PosixPath, _numpy_scalar, _numpy_array, np.ndarray, np.dtype, *kinds, *old_names]


def _first(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group)


def _read_sharded(index: Path) -> dict[str, Any]:
    """The tensors of all files named by an index."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise UserError(f"{index}: no weight_map of tensors to files; download the model again")
    tensors: dict[str, Any] = {}
    for name in sorted(set(weight_map.values())):
        part = index.parent / name
        if Path(name).name != name or name.endswith(INDEX_SUFFIX):
            raise UserError(f"{index}: names {name!r}, which is not a file beside it; download the model again")
        if not part.is_file():
            raise UserError(f"{part}: missing, but named in {index.name}; download the model again")
        tensors |= _read_tensors(part)
    if missing := sorted(weight_map.keys() - tensors.keys()):
        raise UserError(f"{index}: {missing[0]} is not in {weight_map[missing[0]]}; download the model again")
    return tensors


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _read_openai_archive(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest not in OPENAI_ARCHIVES:
        raise UserError(
            f"{path}: a TorchScript archive, which is a program, and not one of OpenAI's; "
            "save its state dict with torch.save or safetensors and load that"
        )
    return dict(torch.jit.load(path, map_location="cpu").state_dict())


def _plain_state(raw: Mapping[str, Any], path: Path) -> State:
    """The weights in float32, without constants and sizes."""
    state: State = {}
    for name, value in raw.items():
        if name in _DROPPED or name.endswith(_POSITION_IDS):
            continue
        if not isinstance(value, torch.Tensor):
            raise UserError(
                f"{path}: {name} is {type(value).__name__}, not a tensor: not a state dict of weights; save "
                "model.state_dict() and load that"
            )
        state[name] = value.detach().float()
    return state


def _rename(raw: State, kind: str) -> tuple[State, list[str]]:
    if kind in {"transformers", "fgclip"}:
        return raw, []
    if kind == "custom_text":
        raw = {name.removeprefix("text."): tensor for name, tensor in raw.items()}
    if kind == "longclip":
        short_PD, stretched_PD = raw["positional_embedding"], raw["positional_embedding_res"]
        table_PD = torch.cat([short_PD[:KEPT_ROWS], stretched_PD[KEPT_ROWS:]])
        raw = {name: tensor for name, tensor in raw.items() if name != "positional_embedding_res"}
        raw["positional_embedding"] = table_PD
    return to_transformers(raw)


def _describe(
    folder: Path | None, kind: str, state: State, activation: str | None, weights: Path
) -> tuple[CLIPConfig, Preprocess]:
    """Architecture and preprocessing: from the JSON beside the weights, if any, otherwise from the shapes."""
    is_transformers = kind in {"transformers", "fgclip"}
    config_path = (folder or weights.parent) / ("config.json" if is_transformers else "open_clip_config.json")
    if folder is None or kind == "longclip" or not config_path.is_file():
        config = config_from_shapes(state, activation, str(weights))
        return config, Preprocess(config.vision_config.image_size)
    content = read_json(config_path)
    if is_transformers:
        config = config_from_transformers(content, activation, str(config_path))
        if kind == "fgclip":  # of which it states the tower for short texts
            config.text_config.max_position_embeddings = len(state[POSITIONS])
        images = _read_image_processor(folder)
    else:
        config = config_from_open_clip(content.get("model_cfg") or {}, state, activation, str(config_path))
        images = content.get("preprocess_cfg") or {}
    return config, read_preprocess(images, config.vision_config.image_size, str(config_path))


def _read_image_processor(folder: Path) -> dict[str, Any]:
    """The image part of a transformers processor: a separate file, or since transformers 5 inside another."""
    if (folder / "preprocessor_config.json").is_file():
        return read_json(folder / "preprocessor_config.json")
    whole = read_json(folder / "processor_config.json") if (folder / "processor_config.json").is_file() else {}
    return whole.get("image_processor") or {}


def _refuse_wrong_keys(state: State, unknown: list[str], config: CLIPConfig, where: str) -> None:
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in CLIPModel(config).state_dict().items()}
    wrong = {
        "unknown": sorted({*unknown, *(state.keys() - shapes.keys())}),
        "missing": sorted(shapes.keys() - state.keys()),
        "of the wrong shape": [
            f"{name} {list(state[name].shape)}, not {list(shapes[name])}"
            for name in sorted(shapes.keys() & state.keys())
            if state[name].shape != shapes[name]
        ],
    }
    parts = [f"{len(names)} {what}: {', '.join(names[:_NAMED])}" for what, names in wrong.items() if names]
    if parts:
        raise UserError(f"{where}: not the weights of this CLIP; {'; '.join(parts)}")
