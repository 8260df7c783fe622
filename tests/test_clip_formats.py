"""Every public CLIP format is told by its keys and read to the same features."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from lrs2m_builder.clip import formats
from lrs2m_builder.clip.architecture import config_from_shapes
from lrs2m_builder.clip.formats import read_checkpoint
from lrs2m_builder.clip.model import encode_image, encode_text, load, random_model
from lrs2m_builder.clip.names import to_transformers
from lrs2m_builder.clip.save import save
from lrs2m_builder.errors import UserError
from tests.clip_formats import TEXTS, State, agree, custom_text, write
from tests.clip_models import longclip_image_features, longclip_state, longclip_text_features, open_clip_model


@pytest.fixture(scope="module")
def theirs() -> open_clip.CLIP:
    return open_clip_model()


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_a_longclip_file_gives_the_features_of_the_public_forward(tmp_path: Path, pixels: torch.Tensor) -> None:
    state = longclip_state()
    masks = {"mask1": torch.ones(248, 1), "mask2": torch.ones(248, 1)}
    loaded = load(write(state | masks, tmp_path / "longclip.pt"))
    ids = loaded.tokenize(TEXTS)
    with torch.no_grad():
        torch.testing.assert_close(
            encode_text(loaded.model, ids), longclip_text_features(state, ids), rtol=0, atol=1e-5
        )
        torch.testing.assert_close(
            encode_image(loaded.model, pixels), longclip_image_features(state, pixels), rtol=0, atol=1e-5
        )


@pytest.mark.parametrize("quick_gelu", [True, False])
def test_an_open_clip_folder_gives_open_clips_features(quick_gelu: bool, tmp_path: Path, pixels: torch.Tensor) -> None:
    model = open_clip_model(quick_gelu=quick_gelu)
    config = {"model_cfg": {"embed_dim": 32, "quick_gelu": quick_gelu, "vision_cfg": {}, "text_cfg": {}}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    save_file(model.state_dict(), tmp_path / "open_clip_model.safetensors")
    agree(load(str(tmp_path), context_length=77), model, pixels)


def wrapped(state: State) -> dict[str, object]:
    return {"epoch": 3, "state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}


def compiled(state: State) -> dict[str, object]:
    return {f"module._orig_mod.{name}": tensor for name, tensor in state.items()}


def sized(state: State) -> dict[str, object]:
    sizes = {"input_resolution": 32, "context_length": 77, "vocab_size": 49408}
    return {**state, **{name: torch.tensor(size) for name, size in sizes.items()}}


def vector_scale(state: State) -> dict[str, object]:
    return {**state, "logit_scale": state["logit_scale"].reshape(1)}


@pytest.mark.parametrize("form", [dict, wrapped, compiled, custom_text, sized, vector_scale])
def test_a_bare_state_dict_in_any_wrapping_gives_open_clips_features(
    form: Callable[[State], dict[str, object]], theirs: open_clip.CLIP, tmp_path: Path, pixels: torch.Tensor
) -> None:
    torch.save(form(theirs.state_dict()), tmp_path / "RemoteCLIP-ViT-B-32.pt")
    agree(load(str(tmp_path / "RemoteCLIP-ViT-B-32.pt"), context_length=77), theirs, pixels)


def test_half_precision_weights_are_read_as_float32(
    theirs: open_clip.CLIP, tmp_path: Path, pixels: torch.Tensor
) -> None:
    half = {name: tensor.half() for name, tensor in theirs.state_dict().items()}
    loaded = load(write(half, tmp_path / "half.pt"), context_length=77)
    assert loaded.model.dtype == torch.float32
    agree(loaded, theirs, pixels, atol=5e-3)


def archive(model: open_clip.CLIP, path: Path) -> str:
    ids = torch.zeros(1, 77, dtype=torch.int64)
    torch.jit.trace(model, (torch.zeros(1, 3, 32, 32), ids), check_trace=False).save(str(path))
    return str(path)


@pytest.mark.filterwarnings("ignore")
def test_openais_own_archive_is_read_and_any_other_program_is_not(
    theirs: open_clip.CLIP, tmp_path: Path, pixels: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = archive(theirs, tmp_path / "ViT-B-16.pt")
    with pytest.raises(UserError, match="a TorchScript archive, which is a program, and not one of OpenAI's"):
        load(path)
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    monkeypatch.setattr(formats, "OPENAI_ARCHIVES", {digest})
    agree(load(path, context_length=77), theirs, pixels)


def test_an_old_transformers_config_with_a_wrong_end_token_is_put_right(tmp_path: Path) -> None:
    loaded = random_model()
    save(loaded, tmp_path / "model", open_clip=False)
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    config["text_config"]["eos_token_id"] = 2
    path.write_text(json.dumps(config))
    again = load(str(tmp_path / "model"), context_length=77)
    ids = loaded.tokenize(TEXTS)
    ids[:, -1] = 49407  # a second end token, as transformers pads
    assert again.model.config.text_config.eos_token_id == 49407
    assert torch.equal(encode_text(again.model, ids), encode_text(loaded.model, ids))


def test_the_activation_of_a_bare_file_is_quick_gelu_unless_asked_otherwise(
    tmp_path: Path, pixels: torch.Tensor
) -> None:
    gelu = open_clip_model(quick_gelu=False)
    path = write(gelu.state_dict(), tmp_path / "gelu.pt")
    assert load(path, context_length=77).model.config.vision_config.hidden_act == "quick_gelu"
    agree(load(path, context_length=77, activation="gelu"), gelu, pixels)
    with pytest.raises(UserError, match="no activation 'relu'; known: quick_gelu, gelu"):
        load(path, activation="relu")


@pytest.mark.parametrize(("width", "heads", "activation"), [(768, 12, "quick_gelu"), (1280, 16, "gelu")])
def test_image_towers_that_openai_never_trained_have_wider_heads_and_gelu(
    width: int, heads: int, activation: str
) -> None:
    state = {
        "vision_model.embeddings.patch_embedding.weight": torch.empty(width, 3, 14, 14, device="meta"),
        "vision_model.embeddings.position_embedding.weight": torch.empty(257, width, device="meta"),
        "vision_model.encoder.layers.0.mlp.fc1.weight": torch.empty(4 * width, width, device="meta"),
        "text_model.encoder.layers.0.mlp.fc1.weight": torch.empty(4096, 1024, device="meta"),
        "text_model.embeddings.token_embedding.weight": torch.empty(49408, 1024, device="meta"),
        "text_model.embeddings.position_embedding.weight": torch.empty(77, 1024, device="meta"),
        "text_projection.weight": torch.empty(1024, 1024, device="meta"),
    }
    config = config_from_shapes(state, None, "here")
    vision = config.vision_config
    assert (vision.num_attention_heads, vision.hidden_act, vision.image_size) == (heads, activation, 224)


def test_a_folder_with_one_weights_file_of_any_name_is_read(theirs: open_clip.CLIP, tmp_path: Path) -> None:
    write(theirs.state_dict(), tmp_path / "LRSCLIP_ViT-B-16.pt")
    assert load(str(tmp_path)).context_length == 248
    write(theirs.state_dict(), tmp_path / "another.pt")
    with pytest.raises(UserError, match=r"several weights files \(LRSCLIP_ViT-B-16.pt, another.pt\)"):
        load(str(tmp_path))


def test_every_format_is_told_by_its_keys(theirs: open_clip.CLIP, tmp_path: Path) -> None:
    state = dict(theirs.state_dict())
    ours, unknown = to_transformers(state)
    assert not unknown
    forms = {"open_clip": state, "custom_text": custom_text(state), "transformers": ours, "longclip": longclip_state()}
    found = {name: read_checkpoint(Path(write(form, tmp_path / name))).format for name, form in forms.items()}
    assert found == {name: name for name in forms}
