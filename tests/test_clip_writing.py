"""A CLIP is written so that its own code loads it and nothing is lost, or not at all."""

from __future__ import annotations

from pathlib import Path

import open_clip
import pytest
import torch
from transformers import AutoModel, AutoProcessor

from lrs2m_builder.clip.model import Loaded, encode_text, load, random_model
from lrs2m_builder.clip.save import check_destination, save, save_as, save_longclip, save_open_clip
from lrs2m_builder.errors import UserError
from tests.clip_formats import TEXTS, agree, same_weights, write
from tests.clip_models import longclip_state, open_clip_model


@pytest.fixture(scope="module")
def theirs() -> open_clip.CLIP:
    return open_clip_model()


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


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
    with pytest.raises(UserError, match="already exists; give a new folder"):
        save(random_model(), tmp_path)
    with pytest.raises(UserError, match="already exists; give a new file"):
        save_longclip(random_model(context_length=248), tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_save_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lrs2m_builder.clip.save.save_file", no_space)
    with pytest.raises(UserError, match="no space left on the disk"):
        save(random_model(), tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_convert_writes_the_format_asked_for(tmp_path: Path, theirs: open_clip.CLIP) -> None:
    from typer.testing import CliRunner

    from lrs2m_builder.cli import app

    source, out = write(theirs.state_dict(), tmp_path / "in.pt"), tmp_path / "out.pt"
    result = CliRunner().invoke(app, ["convert", source, str(out), "--to", "longclip", "--context-length", "248"])
    assert result.exit_code == 0, result.output
    assert same_weights(load(str(out)), load(source))
    again = CliRunner().invoke(app, ["convert", source, str(out), "--to", "longclip"])
    assert isinstance(again.exception, UserError) and "already exists" in str(again.exception)
    wrong = CliRunner().invoke(app, ["convert", source, str(tmp_path / "x"), "--to", "onnx"])
    assert wrong.exit_code == 2 and "'transformers', 'open_clip', 'longclip'" in wrong.output
    with pytest.raises(UserError, match="no format 'onnx' to write; known: transformers, open_clip, longclip"):
        check_destination(tmp_path / "x", "onnx")
