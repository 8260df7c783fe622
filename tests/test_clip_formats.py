"""Every public CLIP format is read to the same features, and written so that its own code loads it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModel, AutoProcessor

from lrs2m_builder.clip import formats
from lrs2m_builder.clip.architecture import config_from_shapes
from lrs2m_builder.clip.formats import read_checkpoint
from lrs2m_builder.clip.locate import locate
from lrs2m_builder.clip.model import Loaded, encode_image, encode_text, load, random_model
from lrs2m_builder.clip.names import to_transformers
from lrs2m_builder.clip.save import save, save_as, save_longclip, save_open_clip
from lrs2m_builder.errors import UserError
from tests.clip_models import longclip_image_features, longclip_state, longclip_text_features, open_clip_model

TEXTS = ["a plane on a runway", "many green trees stand beside a wide road " * 5, ""]
State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def theirs() -> open_clip.CLIP:
    return open_clip_model()


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def write(state: State, path: Path) -> str:
    torch.save(state, path)
    return str(path)


def agree(loaded: Loaded, theirs: open_clip.CLIP, pixels: torch.Tensor, atol: float = 1e-5) -> None:
    ids = loaded.tokenize(TEXTS)
    with torch.no_grad():
        text, image = theirs.encode_text(ids, normalize=True), theirs.encode_image(pixels, normalize=True)
        torch.testing.assert_close(encode_text(loaded.model, ids), text, rtol=0, atol=atol)
        torch.testing.assert_close(encode_image(loaded.model, pixels), image, rtol=0, atol=atol)
    assert loaded.model.logit_scale.item() == pytest.approx(theirs.logit_scale.item(), abs=1e-3)


def same_weights(one: Loaded, other: Loaded) -> bool:
    a, b = one.model.state_dict(), other.model.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- reading


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


def custom_text(state: State) -> dict[str, object]:
    image = ("visual.", "logit_scale")
    return {name if name.startswith(image) else f"text.{name}": tensor for name, tensor in state.items()}


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
    with pytest.raises(UserError, match="a TorchScript archive that is none of OpenAI's"):
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
    with pytest.raises(UserError, match="activation 'relu': known are quick_gelu and gelu"):
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


# --- writing


@pytest.mark.parametrize("to", ["transformers", "open_clip", "longclip"])
def test_what_is_written_is_read_back_without_loss(to: str, tmp_path: Path) -> None:
    loaded = random_model(context_length=248)
    save_as(loaded, tmp_path / "out", to)
    again = load(str(tmp_path / "out"))
    assert same_weights(again, loaded)
    assert (again.preprocess, again.context_length) == (loaded.preprocess, loaded.context_length)
    assert again.model.config.text_config.hidden_act == "quick_gelu"


@pytest.mark.parametrize("to", ["transformers", "open_clip"])
def test_the_activation_and_the_normalisation_survive(to: str, tmp_path: Path) -> None:
    loaded = random_model(activation="gelu")
    own = Loaded(
        loaded.model,
        loaded.transform,
        loaded.tokenize,
        "own",
        "0",
        type(loaded.preprocess)(32, (0.5,) * 3, (0.25,) * 3),
    )
    save_as(own, tmp_path / "out", to)
    again = load(str(tmp_path / "out"), context_length=None)
    assert again.model.config.vision_config.hidden_act == again.model.config.text_config.hidden_act == "gelu"
    assert again.preprocess == own.preprocess


def test_an_open_clip_state_dict_comes_back_tensor_by_tensor(theirs: open_clip.CLIP, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    loaded = load(write(theirs.state_dict(), tmp_path / "in.pt"), context_length=None)
    save_open_clip(loaded, tmp_path / "out")
    back, state = load_file(tmp_path / "out" / "open_clip_model.safetensors"), theirs.state_dict()
    assert back.keys() == state.keys() and all(torch.equal(back[name], state[name]) for name in state)


def test_a_longclip_file_comes_back_with_the_rows_that_count(tmp_path: Path) -> None:
    state = longclip_state()
    save_longclip(load(write(state, tmp_path / "in.pt")), tmp_path / "out.pt")
    back = torch.load(tmp_path / "out.pt", weights_only=True)
    assert back.keys() == state.keys()
    assert torch.equal(back.pop("positional_embedding")[:20], state.pop("positional_embedding")[:20])
    assert torch.equal(back.pop("positional_embedding_res")[20:], state.pop("positional_embedding_res")[20:])
    assert all(torch.equal(back[name], state[name]) for name in state)


def test_a_model_of_77_positions_is_not_written_as_longclip(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Long-CLIP's format has 248 positions, this model 77"):
        save_longclip(random_model(), tmp_path / "out.pt")
    assert not list(tmp_path.iterdir())


def test_auto_classes_load_a_saved_model_without_remote_code(tmp_path: Path) -> None:
    loaded = random_model(context_length=248)
    save(loaded, tmp_path / "model")
    model, processor = AutoModel.from_pretrained(tmp_path / "model"), AutoProcessor.from_pretrained(tmp_path / "model")
    text = "a plane on a runway " * 80
    ids = processor(text=[text], truncation=True, return_tensors="pt")["input_ids"]
    assert processor.tokenizer.model_max_length == 248 and torch.equal(ids, loaded.tokenize([text]))
    batch = processor(text=TEXTS, padding=True, return_tensors="pt")  # pads with end tokens and a mask
    features = model.text_projection(model.text_model(**batch).pooler_output)
    expected = encode_text(loaded.model, loaded.tokenize(TEXTS))
    torch.testing.assert_close(torch.nn.functional.normalize(features, dim=-1), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_open_clip_loads_a_saved_folder(activation: str, tmp_path: Path, pixels: torch.Tensor) -> None:
    loaded = random_model(context_length=248, activation=activation)
    save(loaded, tmp_path / "model")
    place = f"local-dir:{tmp_path / 'model'}"
    model, _, transform = open_clip.create_model_and_transforms(place)
    agree(loaded, model.eval(), pixels)
    assert torch.equal(open_clip.get_tokenizer(place)(TEXTS), loaded.tokenize(TEXTS))
    assert transform.transforms[0].size == 32


def test_a_saved_model_does_not_replace_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is there already; give a new folder"):
        save(random_model(), tmp_path)
    with pytest.raises(UserError, match="is there already; give a new file"):
        save_longclip(random_model(context_length=248), tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_save_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lrs2m_builder.clip.save.save_file", no_space)
    with pytest.raises(UserError, match="no space left on the disk"):
        save(random_model(), tmp_path / "model")
    assert not list(tmp_path.iterdir())


# --- refusing


def without(name: str) -> Callable[[State], State]:
    return lambda state: {key: tensor for key, tensor in state.items() if key != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("visual.ln_pre.bias"), "1 missing: vision_model.pre_layrnorm.bias"),
        (without("visual.conv1.weight"), "not a whole CLIP"),
        (lambda state: state | {"logit_bias": torch.zeros(())}, "1 unknown: logit_bias"),
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
    with pytest.raises(UserError, match=r"bad.pt: cannot be read as weights: Weights only load failed"):
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


@pytest.mark.parametrize("images", [{"resize_mode": "squash"}, {"interpolation": "bilinear"}])
def test_a_model_that_wants_other_images_is_refused(images: dict[str, str], tmp_path: Path) -> None:
    save_open_clip(random_model(), tmp_path / "model")
    path = tmp_path / "model" / "open_clip_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"preprocess_cfg": images}))
    with pytest.raises(UserError, match="wants its images resized otherwise"):
        load(str(tmp_path / "model"))


# --- finding


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


def test_every_format_is_told_by_its_keys(theirs: open_clip.CLIP, tmp_path: Path) -> None:
    state = dict(theirs.state_dict())
    ours, unknown = to_transformers(state)
    assert not unknown
    forms = {"open_clip": state, "custom_text": custom_text(state), "transformers": ours, "longclip": longclip_state()}
    found = {name: read_checkpoint(Path(write(form, tmp_path / name))).format for name, form in forms.items()}
    assert found == {name: name for name in forms}


# --- the command


def test_convert_writes_the_format_asked_for(tmp_path: Path, theirs: open_clip.CLIP) -> None:
    from typer.testing import CliRunner

    from lrs2m_builder.cli import app

    source, out = write(theirs.state_dict(), tmp_path / "in.pt"), tmp_path / "out.pt"
    result = CliRunner().invoke(app, ["convert", source, str(out), "--to", "longclip", "--context-length", "248"])
    assert result.exit_code == 0, result.output
    assert same_weights(load(str(out)), load(source))
    again = CliRunner().invoke(app, ["convert", source, str(out), "--to", "longclip"])
    assert isinstance(again.exception, UserError) and "is there already" in str(again.exception)
    wrong = CliRunner().invoke(app, ["convert", source, str(tmp_path / "x"), "--to", "onnx"])
    assert str(wrong.exception) == "no format 'onnx' to write; known: transformers, open_clip, longclip"
