"""Models that only open_clip has are opened, evaluated, trained and written back with open_clip's own features."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from lrs2m_builder.clip.encode import encode_images, encode_texts
from lrs2m_builder.clip.kps import positions, stretch_table
from lrs2m_builder.clip.model import load, random_model
from lrs2m_builder.clip.save import save_as
from lrs2m_builder.clip.towers import OpenClipTowers
from lrs2m_builder.errors import UserError
from lrs2m_builder.evals.figures.text_heat import text_heat
from lrs2m_builder.evals.models import open_model
from lrs2m_builder.train.config import TrainConfig, changed
from lrs2m_builder.train.named_configs import tiny
from lrs2m_builder.train.run import train
from lrs2m_builder.train.trained import choose_trained, layers_of
from tests.clip_toy import make_data
from tests.tower_models import KINDS, SIGLIP, SIGLIP_TEXT, timm_clip, tower_folder

TEXTS = ["A red field.", "the Plane &amp; a road, beside a row of trees " * 20, "white"]
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.set_num_threads(1)
    base = tmp_path_factory.mktemp("towers")
    return {name: tower_folder(base / name, cfg) for name, cfg in KINDS.items()}


def pictures() -> list[Image.Image]:
    noise = np.random.default_rng(0).integers(0, 256, (3, 90, 140, 3), dtype=np.uint8)
    return [Image.fromarray(each).resize((210, 170)) for each in noise]


def own_features(folder: Path, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """open_clip's features of the pictures and of texts."""
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    ids = open_clip.get_tokenizer(f"local-dir:{folder}")(texts)
    with torch.no_grad():
        images = model.eval().encode_image(torch.stack([transform(each) for each in pictures()]), normalize=True)
        return images, model.encode_text(ids, normalize=True)


def assert_features(folder: Path, name: Path) -> None:
    """The features of evaluations of one folder are open_clip's of another."""
    loaded = open_model(str(name), device="cpu")
    images, texts = own_features(folder, TEXTS)
    ours = encode_images(loaded, pictures(), show_progress=False), encode_texts(loaded, TEXTS, show_progress=False)
    torch.testing.assert_close(torch.from_numpy(ours[0]), images, rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(torch.from_numpy(ours[1]), texts, rtol=0, atol=TOLERANCE)
    assert texts.std(0).mean() > 0.01 and images.std(0).mean() > 0.001  # they tell their inputs apart


@pytest.mark.parametrize("kind", KINDS)
def test_features_are_open_clips_own(folders: dict[str, Path], kind: str) -> None:
    assert isinstance(load(str(folders[kind]), context_length=None).model, OpenClipTowers)
    assert_features(folders[kind], folders[kind])


def test_a_model_is_written_back_for_open_clip_and_no_other_format(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_as(load(str(folders["siglip"]), context_length=None), tmp_path / "again", "open_clip")
    assert_features(tmp_path / "again", folders["siglip"])
    for to in ("transformers", "longclip"):
        with pytest.raises(UserError, match=f"--to {to} holds a CLIP with a ViT, not these .*--to open_clip"):
            save_as(load(str(folders["siglip"]), context_length=None), tmp_path / to, to)


def settings(folder: Path, **changes: object) -> TrainConfig:
    return changed(tiny(), {"start": str(folder), "max_steps": 2, "batch_size": 4, "lr": 1e-3, **changes})


def test_training_with_a_sigmoid_loss_begins_with_the_models_bias_and_writes_it_for_open_clip(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    config = settings(folders["siglip"], context_length=64, objective="sigmoid", frozen_positions=0)
    model = train(config, [make_data(tmp_path / "data", 16)], out_dir=tmp_path / "run")
    assert_features(model, tmp_path / "run")
    before, after = (open_clip.create_model(f"local-dir:{each}") for each in (folders["siglip"], model))
    assert before.logit_bias.item() != after.logit_bias.item() == pytest.approx(before.logit_bias.item(), abs=0.1)
    trained = [not torch.equal(one, other) for one, other in zip(before.parameters(), after.parameters(), strict=True)]
    assert sum(trained) > 0.9 * len(trained)


def test_training_with_a_softmax_loss_says_that_the_model_has_a_bias(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = settings(folders["siglip2"], context_length=196, gradient_checkpointing=True, weight_decay=0.1)
    model = train(config, [make_data(tmp_path / "data", 16)], out_dir=tmp_path / "run")
    assert "has the bias of a sigmoid loss, which objective=sigmoid trains" in capsys.readouterr().err
    first = [positions(load(str(each), context_length=None).model) for each in (folders["siglip2"], model)]
    assert first[0] is not None and first[1] is not None
    assert torch.equal(first[0][:20], first[1][:20]) and len(first[1]) == 196  # frozen, as KPS keeps them
    assert open_clip.create_model(f"local-dir:{model}").context_length == 196


def test_kps_stretches_an_absolute_table_as_of_a_clip(folders: dict[str, Path]) -> None:
    own, stretched = (load(str(folders["convnext"]), context_length=length) for length in (77, 248))
    table_TW = positions(own.model)
    assert table_TW is not None and torch.equal(positions(stretched.model), stretch_table(table_TW.detach()))
    short, long = (encode_texts(each, ["A red field."], show_progress=False) for each in (own, stretched))
    np.testing.assert_allclose(short, long, atol=1e-6)  # a causal tower: texts of 20 tokens keep their features
    assert stretched.tokenize(TEXTS, trim=True).shape[1] == encode_lengths(TEXTS)


def encode_lengths(texts: list[str]) -> int:
    from lrs2m_builder.tokenizer import encode_batch

    return max(map(len, encode_batch(texts, 248)))


@pytest.mark.parametrize(
    ("context_length", "message"),
    [
        (248, "64 positions and KPS makes 196 of it; give context_length=64 or less"),
        (32, "its texts are padded to 64 tokens, which changes the features; give context_length=64"),
    ],
)
def test_a_context_that_the_table_does_not_make_is_refused(
    folders: dict[str, Path], context_length: int, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        load(str(folders["siglip"]), context_length=context_length)


def test_kps_is_refused_for_a_tower_whose_positions_are_not_a_row_per_token(tmp_path: Path) -> None:
    text = {name: value for name, value in SIGLIP_TEXT.items() if name != "hf_tokenizer_name"} | {"embed_cls": True}
    folder = tower_folder(tmp_path / "cls", SIGLIP | {"text_cfg": text | {"vocab_size": 49408}})
    with pytest.raises(UserError, match="KPS interpolates a table with a row per position, and the text tower of"):
        load(str(folder), context_length=248)


def test_layers_are_locked_by_their_depth_in_each_kind_of_tower(folders: dict[str, Path]) -> None:
    for kind, layers, first in (("vit", 6, "trunk.pos_embed"), ("convnext", 4, "trunk.stem.0.weight")):
        model = load(str(folders[kind]), context_length=None).model
        assert layers_of(model) == {"image": layers, "text": 2}
        choose_trained(model, settings(folders[kind], locked_image=1, locked_text="all"))
        trained = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
        assert not trained[f"inner.visual.{first}"] and trained["inner.visual.head.proj.weight"]
        assert (
            not any(on for name, on in trained.items() if name.startswith("inner.text."))
            and trained["inner.logit_scale"]
        )


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("test_efficientnet", {}, "test_efficientnet: has batch normalisation"),
        ("test_vit", {"lora_image": 4}, "not for towers that only open_clip has"),
    ],
)
def test_what_such_towers_cannot_be_trained_with_is_one_line(
    tmp_path: Path, kind: str, changes: dict[str, object], message: str
) -> None:
    folder = tower_folder(tmp_path / kind, timm_clip(kind))
    config = settings(folder, context_length=77, **changes)
    with pytest.raises(UserError, match=message):
        train(config, [make_data(tmp_path / "data", 16)], out_dir=tmp_path / "run")


def test_a_folder_that_open_clip_cannot_open_is_one_line(tmp_path: Path) -> None:
    folder = tower_folder(tmp_path / "broken", KINDS["vit"])
    content = json.loads((folder / "open_clip_config.json").read_text())
    content["model_cfg"]["vision_cfg"]["timm_model_name"] = "no_such_tower"
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="open_clip cannot open it") as raised:
        load(str(folder))
    assert "\n" not in str(raised.value)


def test_a_heat_map_of_another_tower_is_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(UserError, match="heat maps need the image tower of a CLIP with a ViT"):
        text_heat(load(str(folders["vit"]), context_length=None), pictures()[0], "a plane")


# FG-CLIP


def fgclip_state() -> dict[str, torch.Tensor]:
    """Weights by the names of FG-CLIP's file, whose long tower shares nothing with the short one but the layers."""
    generator = torch.Generator().manual_seed(1)
    state = {name: tensor.clone() for name, tensor in random_model().model.state_dict().items()}
    embeddings = "text_model.embeddings.position_embedding"
    for table in ("ori", "res"):
        state[f"{embeddings}_{table}.weight"] = torch.randn(248, 64, generator=generator)
    state["text_filip_projection.weight"] = torch.randn(32, 64, generator=generator)
    state |= {"logit_scale_finegraind": torch.tensor(1.0), "logit_scale_hardneg": torch.tensor(1.0)}
    return state


@pytest.mark.parametrize("context_length", [77, 248, None])
def test_fg_clip_reads_long_texts_by_its_long_tower_and_short_ones_by_its_short_one(
    tmp_path: Path, context_length: int | None
) -> None:
    state = fgclip_state()
    torch.save(state, tmp_path / "fgclip.pt")
    loaded = load(str(tmp_path / "fgclip.pt"), context_length=context_length)
    expected = random_model(context_length=context_length or 248).model
    own = {name: state[name] for name in expected.state_dict() if name in state}
    if context_length != 77:
        ori, res = (state[f"text_model.embeddings.position_embedding_{table}.weight"] for table in ("ori", "res"))
        own["text_model.embeddings.position_embedding.weight"] = torch.cat([ori[:20], res[20:]])
        own["text_projection.weight"] = state["text_filip_projection.weight"]
    expected.load_state_dict(own)
    assert loaded.context_length == (context_length or 248)
    for name, tensor in expected.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor), name
