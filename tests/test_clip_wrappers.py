"""Weights are found in whatever a training framework put around them, and nothing in a file is run."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lrs2m_builder.clip.model import Loaded, load, random_model
from lrs2m_builder.clip.names import to_open_clip
from lrs2m_builder.errors import UserError
from tests.clip_formats import State, custom_text, same_weights


@pytest.fixture(scope="module")
def model() -> Loaded:
    return random_model()


@pytest.fixture(scope="module")
def state(model: Loaded) -> State:
    return to_open_clip({name: tensor.detach() for name, tensor in model.model.state_dict().items()})


def before(prefix: str, state: Any) -> dict[str, Any]:
    return {prefix + name: tensor for name, tensor in state.items()}


WRAPPED: dict[str, Any] = {
    "numpy numbers": lambda s: {"state_dict": s, "epoch": np.int64(3), "best": np.float32(0.5), "done": np.bool_(True)},
    "a numpy array": lambda s: {"model": s, "history": np.arange(4.0)},
    "arguments": lambda s: {"model": s, "args": Namespace(lr=1e-3, out=Path("/run"))},
    "Lightning": lambda s: {"state_dict": before("model.", s), "hyper_parameters": {"lr": 1.0}},
    "Lightning around DDP": lambda s: {"state_dict": before("model.module.", s) | {"loss.weight": torch.ones(3)}},
    "clip.": lambda s: before("clip.", s),
    "a tower beside": lambda s: before("clip_model.", s) | {"head.weight": torch.ones(2, 2)},
    "nested": lambda s: {"model": {"state_dict": s}},
    "nested and compiled": lambda s: {"checkpoint": {"model": {"module": before("_orig_mod.", s)}}},
    "with an optimizer": lambda s: {"model_state_dict": s, "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}}},
    "beside its average": lambda s: {"state_dict": s, "ema": s},
    "custom text": lambda s: {"state_dict": before("net.", custom_text(s))},
}


@pytest.mark.parametrize("form", WRAPPED)
def test_weights_are_found_in_any_wrapping(form: str, model: Loaded, state: State, tmp_path: Path) -> None:
    torch.save(WRAPPED[form](state), tmp_path / "a.pt")
    assert same_weights(load(str(tmp_path / "a.pt"), context_length=None), model)


def test_two_models_in_one_file_are_refused_by_name(state: State, tmp_path: Path) -> None:
    torch.save(before("student.", state) | before("teacher.", state), tmp_path / "a.pt")
    with pytest.raises(UserError, match=r"holds several models \('student', 'teacher'\); save the one to load"):
        load(str(tmp_path / "a.pt"))


class Program:
    """Something that a file may not make."""


@pytest.mark.parametrize("kind", ["object", "module"])
def test_a_file_that_would_run_a_program_is_one_plain_line_that_says_what_next(
    kind: str, model: Loaded, state: State, tmp_path: Path
) -> None:
    torch.save(model.model if kind == "module" else {"state_dict": state, "hook": Program()}, tmp_path / "a.pt")
    with pytest.raises(UserError, match=r"holds [\w.]+ beside the weights .*save only model\.state_dict\(\)") as told:
        load(str(tmp_path / "a.pt"))
    assert "\x1b" not in str(told.value) and "\n" not in str(told.value)


def test_weights_in_several_safetensors_are_read_by_their_index(model: Loaded, tmp_path: Path) -> None:
    model.model.save_pretrained(tmp_path, max_shard_size="2MB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert same_weights(load(str(tmp_path), context_length=None), model)
    assert same_weights(load(str(tmp_path / "model.safetensors.index.json"), context_length=None), model)


def write_bins(state: State, folder: Path) -> Path:
    """Two .bin files and their index; returns the second file."""
    names = sorted(state)
    files = {name: f"pytorch_model-{1 + number % 2:05d}-of-00002.bin" for number, name in enumerate(names)}
    for file in set(files.values()):
        torch.save({name: state[name] for name in names if files[name] == file}, folder / file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": files}))
    return folder / "pytorch_model-00002-of-00002.bin"


def test_weights_in_several_bin_files_are_read_by_their_index(model: Loaded, state: State, tmp_path: Path) -> None:
    write_bins(state, tmp_path)
    assert same_weights(load(str(tmp_path), context_length=None), model)


def test_a_missing_part_is_named(state: State, tmp_path: Path) -> None:
    write_bins(state, tmp_path).unlink()
    with pytest.raises(UserError, match=r"pytorch_model-00002-of-00002\.bin: missing, .*download the model again"):
        load(str(tmp_path))


@pytest.mark.parametrize("name", ["../outside.bin", "/etc/passwd", "pytorch_model.bin.index.json"])
def test_an_index_cannot_name_files_elsewhere(name: str, tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(UserError, match="which is not a file beside it"):
        load(str(tmp_path))
