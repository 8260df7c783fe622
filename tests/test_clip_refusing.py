"""A file that is no CLIP is refused in one line and runs nothing; a name leads to one revision."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from lrs2m_builder.clip.locate import locate
from lrs2m_builder.clip.model import load, random_model
from lrs2m_builder.clip.save import save, save_open_clip
from lrs2m_builder.errors import UserError
from tests.clip_formats import State, write
from tests.clip_models import open_clip_model


@pytest.fixture(scope="module")
def theirs() -> open_clip.CLIP:
    return open_clip_model()


def without(name: str) -> Callable[[State], State]:
    return lambda state: {key: tensor for key, tensor in state.items() if key != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("visual.ln_pre.bias"), "1 missing: vision_model.pre_layrnorm.bias"),
        (without("visual.conv1.weight"), "not a complete CLIP"),
        (lambda state: state | {"ln_pre.bias": torch.zeros(64)}, "1 unknown: ln_pre.bias"),
        (
            lambda state: state | {"ln_final.bias": torch.zeros(3)},
            r"text_model.final_layer_norm.bias \[3\], not \[64\]",
        ),
        (lambda state: state | {"visual.attnpool.c_proj.bias": torch.zeros(1)}, "a CLIP with a ResNet image tower"),
        (lambda state: {"weight": torch.zeros(1)}, "not a CLIP that can be loaded"),
        (lambda state: state | {"epoch": 3}, "epoch is int, not a tensor"),
    ],
)
def test_wrong_weights_are_one_line_that_names_them(
    change: Callable[[State], State], message: str, theirs: open_clip.CLIP, tmp_path: Path
) -> None:
    path = write(change(dict(theirs.state_dict())), tmp_path / "wrong.pt")
    with pytest.raises(UserError, match=message) as caught:
        load(path)
    assert path in str(caught.value) and "\n" not in str(caught.value)


def test_only_the_first_wrong_names_are_listed(theirs: open_clip.CLIP, tmp_path: Path) -> None:
    extra = {f"adapter.{number}": torch.zeros(1) for number in range(50)}
    with pytest.raises(UserError, match=r"50 unknown: adapter.0, adapter.1, adapter.10$"):
        load(write(dict(theirs.state_dict()) | extra, tmp_path / "wrong.pt"))


class Payload:
    """Would make a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_a_file_with_code_inside_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"positional_embedding": Payload(tmp_path / "ran")}, tmp_path / "bad.pt")
    with pytest.raises(UserError, match=r"bad.pt: not opened: it holds posix.mkdir beside the weights"):
        load(str(tmp_path / "bad.pt"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["cut.pt", "cut.safetensors"])
@pytest.mark.parametrize("share", [0, 0.5])
def test_a_cut_off_file_is_one_line(name: str, share: float, theirs: open_clip.CLIP, tmp_path: Path) -> None:
    path = tmp_path / name
    save_file(theirs.state_dict(), path) if path.suffix == ".safetensors" else write(theirs.state_dict(), path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(UserError, match="cannot be read as weights"):
        load(str(path))


@pytest.mark.parametrize("name", ["model", "./no/such", "/nowhere/model.pt"])
def test_a_path_that_is_not_there_is_one_line(name: str) -> None:
    with pytest.raises(UserError, match="no such file or folder, and not a Hub name"):
        load(name)


def test_another_kind_of_transformers_model_is_refused(tmp_path: Path) -> None:
    save(random_model(), tmp_path / "model", open_clip=False)
    (tmp_path / "model" / "config.json").write_text('{"model_type": "siglip"}')
    with pytest.raises(UserError, match="model_type is 'siglip', not 'clip'"):
        load(str(tmp_path / "model"))


@pytest.mark.parametrize("images", [{"resize_mode": "longest"}, {"interpolation": "bilinear"}])
def test_a_model_that_wants_other_images_is_refused(images: dict[str, str], tmp_path: Path) -> None:
    save_open_clip(random_model(), tmp_path / "model")
    path = tmp_path / "model" / "open_clip_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"preprocess_cfg": images}))
    with pytest.raises(UserError, match="only bicubic resizing"):
        load(str(tmp_path / "model"))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Hub cache that holds commit c0ffee of owner/clip, without network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    repository = tmp_path / "hub" / "models--owner--clip"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("c0ffee")
    folder = repository / "snapshots" / "c0ffee"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("name", ["owner/clip", "owner/clip/ckpt/RS5M_ViT-B-32.pt"])
def test_a_hub_name_gives_the_commit_as_revision(name: str, hub: Path, theirs: open_clip.CLIP) -> None:
    path = hub / ("ckpt/RS5M_ViT-B-32.pt" if "ckpt" in name else "pytorch_model.bin")
    path.parent.mkdir(exist_ok=True)
    write(theirs.state_dict(), path)
    loaded = load(name, context_length=None)
    assert (loaded.revision, loaded.context_length) == ("c0ffee", 77)


def test_a_hub_name_that_cannot_be_had_is_one_line(hub: Path) -> None:
    with pytest.raises(UserError, match=r"owner/other: no such file or folder, and the Hub did not give it"):
        locate("owner/other")


def test_the_revision_of_local_files_changes_with_one_weight(theirs: open_clip.CLIP, tmp_path: Path) -> None:
    state = dict(theirs.state_dict())
    first = locate(write(state, tmp_path / "a.pt")).revision
    assert first == locate(write(state, tmp_path / "a.pt")).revision
    assert first != locate(write(state | {"logit_scale": torch.tensor(1.0)}, tmp_path / "a.pt")).revision
