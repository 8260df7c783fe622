"""Augmentations say nothing new of an image, and follow from the seed alone."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lrs2m_builder.checks.base import split_sentences
from lrs2m_builder.clip.preprocess import Preprocess, make_transform
from lrs2m_builder.clip.tokens import Tokenize
from lrs2m_builder.train.augment import augment_caption, augment_image
from lrs2m_builder.train.config import changed
from lrs2m_builder.train.data import Batches
from lrs2m_builder.train.index import read_index
from lrs2m_builder.train.loading import Batch, ReadSettings
from lrs2m_builder.train.mixture import Order
from lrs2m_builder.train.named_configs import tiny
from lrs2m_builder.train.run import train
from tests.clip_toy import make_data

BOTH = ("caption_long", "caption_short")
TEXT = "An airport. Two planes stand. A road runs. Trees grow."


def batches(folder: Path, *, seed: int = 0, **changes: Any) -> Batches:
    reading = ReadSettings("both", Tokenize(248), make_transform(Preprocess(32)), 32, **changes)
    order = Order(seed=seed, batch_size=4, pool_rows=32, weights={})
    return Batches(read_index([folder], BOTH), order, reading)


def epoch(of: Batches) -> list[Batch]:
    return list(islice(of, of.num_batches(0)))


def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8))


# Captions


def test_a_caption_loses_its_opening_and_keeps_only_own_sentences_once() -> None:
    seen = set()
    for seed in range(300):
        found = split_sentences(augment_caption(TEXT, np.random.default_rng(seed)))
        assert set(found) <= set(split_sentences(TEXT)[1:]) and len(found) == len(set(found))
        seen.add(tuple(found))
    assert len(seen) == 15  # every order of every choice of three sentences


def test_a_caption_of_two_sentences_stays() -> None:
    text = "An airport. Two planes stand."
    assert augment_caption(text, np.random.default_rng(0)) == text


def test_captions_are_augmented_as_often_as_asked(tmp_path: Path) -> None:
    data = make_data(tmp_path)
    plain, half, always = (epoch(batches(data, augment_captions=share)) for share in (0.0, 0.5, 1.0))

    def num_changed(other: list[Batch]) -> int:
        pairs = zip(plain, other, strict=True)
        return sum(rows(a.long_BT)[n] != rows(b.long_BT)[n] for a, b in pairs for n in range(4))

    def rows(ids: torch.Tensor | None) -> list[list[int]]:
        assert ids is not None
        return [[i for i in row if i] for row in ids.tolist()]

    assert num_changed(plain) == 0 and 12 < num_changed(half) < num_changed(always)
    assert all(torch.equal(a.short_BT, b.short_BT) for a, b in zip(plain, always, strict=True))  # type: ignore[arg-type]


def test_an_augmented_text_is_still_known_as_the_same_text(tmp_path: Path) -> None:
    data = make_data(tmp_path)
    for one, other in zip(epoch(batches(data)), epoch(batches(data, augment_captions=1.0)), strict=True):
        assert torch.equal(one.long_ids_B, other.long_ids_B)  # type: ignore[arg-type]


# Pictures


@pytest.mark.parametrize(("name", "same_pixels"), [("flip", True), ("turn", True), ("crop", False), ("color", False)])
def test_a_view_is_of_the_same_picture(name: Any, same_pixels: bool) -> None:
    image = picture()
    views = [augment_image(image, (name,), 40, (0, number)) for number in range(12)]
    assert len({view.tobytes() for view in views}) >= 4 or name in {"flip", "turn"}
    for view in views:
        if same_pixels:
            assert sorted(view.get_flattened_data()) == sorted(image.get_flattened_data())
        if name == "crop":
            assert view.size == (40, 40)
    assert any(view.tobytes() != image.tobytes() for view in views)


def test_a_view_follows_from_its_key_and_leaves_the_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first = augment_image(picture(), ("crop", "flip", "turn", "color"), 40, (1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert first.tobytes() == augment_image(picture(), ("crop", "flip", "turn", "color"), 40, (1, 2)).tobytes()


def test_a_position_taken_up_gives_the_same_views(tmp_path: Path) -> None:
    data = make_data(tmp_path)
    options: dict[str, Any] = {"augment_captions": 0.7, "augment_images": ("crop", "color")}
    whole = batches(data, **options)
    expected, state = [], {}
    for batch in islice(whole, 20):  # 16 are an epoch
        expected.append(batch)
        state = whole.state_dict() if len(expected) == 17 else state
    again = batches(data, **options)
    again.load_state_dict(state)
    for one, other in zip(expected[17:], islice(again, 3), strict=True):
        assert torch.equal(one.pixels_BCHW, other.pixels_BCHW)
        assert torch.equal(one.long_BT, other.long_BT)  # type: ignore[arg-type]


def test_the_next_epoch_has_other_views(tmp_path: Path) -> None:
    data = make_data(tmp_path)
    reader = iter(batches(data, augment_images=("color",)))
    pixels: list[dict[int, bytes]] = [{}, {}]
    for number, batch in enumerate(islice(reader, 32)):
        for key, image in zip(batch.long_ids_B.tolist(), batch.pixels_BCHW, strict=True):  # type: ignore[union-attr]
            pixels[number // 16][key] = image.numpy().tobytes()
    both = pixels[0].keys() & pixels[1].keys()
    assert both and any(pixels[0][key] != pixels[1][key] for key in both)


def test_all_options_together_train(tmp_path: Path) -> None:
    options = {
        **{"augment_captions": 0.5, "augment_images": ["crop", "flip", "turn", "color"], "multi_positive": True},
        **{"objective": "sigmoid", "micro_batch": 4, "ema": 0.9, "wise_ft": 0.5, "max_steps": 2},
        **{"weights": {"toy": 1.5}, "schedule": "constant", "clip_gradient": 1.0, "gradient_checkpointing": True},
    }
    train(changed(tiny(), options), [make_data(tmp_path / "data")], out_dir=tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
