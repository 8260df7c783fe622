"""A loaded CLIP: stretching, tokens, images and features."""

from __future__ import annotations

import pickle
from pathlib import Path

import open_clip
import pytest
import torch
from open_clip.transform import image_transform
from PIL import Image
from transformers import CLIPModel

from lrs2m_builder.clip.kps import KEPT_ROWS, stretch, stretch_table, stretched_length
from lrs2m_builder.clip.model import Loaded, encode_image, encode_text, load, random_model
from lrs2m_builder.clip.save import save
from lrs2m_builder.errors import UserError

SHORT = "a plane on a runway"
LONG = " ".join(["Two white planes are parked near the terminal and many cars stand beside it."] * 12)


@pytest.fixture(scope="module")
def short_model() -> Loaded:
    return random_model(context_length=77)


def spread_out(loaded: Loaded, std: float = 0.5) -> CLIPModel:
    """A copy whose rows of the position table differ enough to show in the features."""
    model = pickle.loads(pickle.dumps(loaded.model))
    torch.manual_seed(1)
    torch.nn.init.normal_(model.text_model.embeddings.position_embedding.weight, std=std)
    return model


def kps_row(table: torch.Tensor, p: int) -> torch.Tensor:
    """One row of the stretched table by the rule of Long-CLIP's public code."""
    if p < 20:
        return table[p]
    q, a = 20 + (p - 20) // 4, ((p - 20) % 4) / 4
    return table[76] + a * (table[76] - table[75]) if q == 76 else (1 - a) * table[q] + a * table[q + 1]


def test_each_of_the_248_stretched_rows_is_the_public_codes() -> None:
    table = torch.randn(77, 8, generator=torch.Generator().manual_seed(0))
    rows = torch.stack([kps_row(table.double(), p) for p in range(248)]).float()
    torch.testing.assert_close(stretch_table(table), rows, rtol=0, atol=1e-6)


def test_the_first_twenty_rows_and_every_fourth_after_them_are_kept_exactly() -> None:
    table = torch.randn(77, 64)
    stretched = stretch_table(table)
    assert torch.equal(stretched[:20], table[:20])
    assert torch.equal(stretched[20::4], table[20:])


def test_rows_twenty_to_244_are_the_interpolation_of_torch() -> None:
    table = torch.randn(77, 64)
    points = torch.nn.functional.interpolate(table[20:].T[None], size=225, mode="linear", align_corners=True)[0].T
    torch.testing.assert_close(stretch_table(table)[20:245], points, rtol=0, atol=1e-5)


def test_a_half_precision_table_is_stretched_in_float32() -> None:
    table = torch.randn(77, 64).half()
    assert torch.equal(stretch_table(table), stretch_table(table.float()).half())


def test_texts_of_twenty_tokens_keep_their_features_bit_for_bit(short_model: Loaded) -> None:
    model = spread_out(short_model)
    ids = short_model.tokenize([SHORT, "word " * 17 + "end", "", "fields"], trim=True)
    assert ids.shape[1] == KEPT_ROWS
    before = encode_text(model, ids)
    stretch(model, 248)
    assert torch.equal(encode_text(model, ids), before)


def test_longer_texts_do_not_keep_their_features(short_model: Loaded) -> None:
    model = spread_out(short_model)
    ids = short_model.tokenize(["word " * 30], trim=True)
    before = encode_text(model, ids)
    stretch(model, 248)
    assert (encode_text(model, ids) - before).abs().max() > 1e-3


def test_a_stretched_model_reads_248_tokens_and_no_more(short_model: Loaded) -> None:
    model = spread_out(short_model)
    stretch(model, 248)
    assert stretched_length(77) == 248 == model.config.text_config.max_position_embeddings
    assert encode_text(model, torch.full((1, 248), 49407)).shape == (1, 32)
    with pytest.raises(ValueError, match="249"):
        encode_text(model, torch.full((1, 249), 49407))


@pytest.mark.parametrize("length", [100, 249])
def test_a_context_that_kps_does_not_make_is_refused(short_model: Loaded, length: int) -> None:
    with pytest.raises(UserError, match="has 77 positions and KPS makes 248"):
        stretch(spread_out(short_model), length)


@pytest.mark.parametrize("context_length", [77, 248])
@pytest.mark.parametrize("text", [SHORT, LONG, "", "Wald &amp; Wiese “im” Bild", "飞机场"])
def test_ids_equal_open_clips(context_length: int, text: str) -> None:
    theirs = open_clip.get_tokenizer("ViT-B-32", context_length=context_length)([text])
    assert torch.equal(random_model(context_length=context_length).tokenize([text]), theirs)


def test_a_cut_text_keeps_its_end_token() -> None:
    ids = random_model(context_length=248).tokenize([LONG * 3])
    assert ids.dtype == torch.int64 and ids.shape == (1, 248) and ids[0, -1] == 49407


def test_trimming_a_batch_does_not_change_its_features(short_model: Loaded) -> None:
    texts = [SHORT, "a lake", LONG[:200]]
    full, trimmed = short_model.tokenize(texts), short_model.tokenize(texts, trim=True)
    assert full.shape == (3, 77) and trimmed.shape[1] < 60
    torch.testing.assert_close(
        encode_text(short_model.model, trimmed), encode_text(short_model.model, full), rtol=0, atol=1e-6
    )


def test_what_stands_after_the_end_token_does_not_count(short_model: Loaded) -> None:
    ids = short_model.tokenize([SHORT])
    end = int((ids[0] == 49407).nonzero()[0])
    for filler in (49407, 49406, 777):
        other = ids.clone()
        other[0, end + 1 :] = filler
        torch.testing.assert_close(
            encode_text(short_model.model, other), encode_text(short_model.model, ids), rtol=0, atol=1e-6
        )


def test_the_word_before_the_end_token_counts(short_model: Loaded) -> None:
    one, other = encode_text(short_model.model, short_model.tokenize(["a red roof", "a red road"]))
    assert (one - other).abs().max() > 1e-3


def test_features_are_of_unit_length_in_float32_from_a_bfloat16_model(short_model: Loaded) -> None:
    model = pickle.loads(pickle.dumps(short_model.model)).to(torch.bfloat16)
    image_features = encode_image(model, torch.randn(3, 3, 32, 32))
    text_features = encode_text(model, short_model.tokenize([SHORT, "a lake"]))
    assert image_features.shape == (3, 32) and text_features.shape == (2, 32)
    for features in (image_features, text_features):
        assert features.dtype == torch.float32
        torch.testing.assert_close(features.norm(dim=-1), torch.ones(len(features)))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("size", [(40, 90), (301, 64), (32, 32), (7, 5)])
def test_images_are_prepared_as_by_open_clip(short_model: Loaded, mode: str, size: tuple[int, int]) -> None:
    noise = torch.randint(0, 256, (size[1], size[0], 3), generator=torch.Generator().manual_seed(0))
    image = Image.fromarray(noise.to(torch.uint8).numpy()).convert(mode)
    theirs = image_transform(32, is_train=False)(image)
    atol = 0.05 if mode == "CMYK" else 1e-6  # ours resizes in RGB
    torch.testing.assert_close(short_model.transform(image), theirs, rtol=0, atol=atol)


def test_a_palette_image_is_resized_by_its_colours(short_model: Loaded) -> None:
    image = Image.new("RGB", (64, 64), (255, 0, 0))
    image.paste((0, 0, 255), (0, 0, 32, 64))
    torch.testing.assert_close(
        short_model.transform(image.convert("P")), short_model.transform(image), rtol=0, atol=0.1
    )


def test_the_transform_reaches_the_workers_of_a_data_loader(short_model: Loaded) -> None:
    image = Image.new("RGB", (40, 50), (1, 2, 3))
    again = pickle.loads(pickle.dumps(short_model.transform))
    assert torch.equal(again(image), short_model.transform(image))


def test_loading_stretches_cuts_or_leaves_the_context_as_asked(short_model: Loaded, tmp_path: Path) -> None:
    save(short_model, tmp_path / "model", open_clip=False)
    lengths = {}
    for asked in (248, 77, None, 32):
        loaded = load(str(tmp_path / "model"), context_length=asked)
        rows = loaded.model.text_model.embeddings.position_embedding.num_embeddings
        lengths[asked] = (rows, loaded.context_length, loaded.tokenize([LONG]).shape[1])
    assert lengths == {248: (248, 248, 248), 77: (77, 77, 77), None: (77, 77, 77), 32: (77, 32, 32)}
    for asked in (100, 2):
        with pytest.raises(UserError, match=f"a context of {asked} tokens"):
            load(str(tmp_path / "model"), context_length=asked)


def test_a_loaded_model_evaluates_in_the_dtype_asked_for(short_model: Loaded, tmp_path: Path) -> None:
    save(short_model, tmp_path / "model", open_clip=False)
    loaded = load(str(tmp_path / "model"), dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.bfloat16}
    assert not loaded.model.training
