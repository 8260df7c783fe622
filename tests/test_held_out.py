"""Recall on held-out pairs is what it says, and measuring it while training changes nothing that is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lrs2m_builder.clip.model import encode_image, encode_text, random_model
from lrs2m_builder.errors import UserError
from lrs2m_builder.evals.held_out import measure_recall, read_held_out
from lrs2m_builder.evals.retrieval import score
from lrs2m_builder.evals.while_training import make_measures
from lrs2m_builder.train.config import TrainConfig, changed
from lrs2m_builder.train.named_configs import tiny
from lrs2m_builder.train.run import train
from tests.clip_toy import make_data, make_rows, write_table


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return make_data(tmp_path_factory.mktemp("data"))


def settings(**changes: Any) -> TrainConfig:
    return changed(tiny(), {"max_steps": 4, "eval_every": 3, **changes})


def metrics(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


# Held-out pairs


def test_rows_of_one_image_are_one_image_with_several_texts(tmp_path: Path) -> None:
    rows = make_rows(6)
    rows[1]["image"] = rows[0]["image"]
    held_out = read_held_out([write_table(tmp_path / "a.parquet", rows)], random_model())
    assert len(held_out.pixels_NCHW) == 5
    assert held_out.texts["long"].image_T.tolist() == held_out.texts["short"].image_T.tolist() == [0, 0, 1, 2, 3, 4]


def test_only_the_texts_that_are_there_are_measured(tmp_path: Path) -> None:
    rows = [{"image": row["image"], "caption_short": row["caption_short"]} for row in make_rows(4)]
    model = random_model()
    measured = measure_recall(model, read_held_out([write_table(tmp_path / "a.parquet", rows)], model))
    names = [f"short_{way}_r{k}" for way in ("t2i", "i2t") for k in (1, 5, 10)]
    assert sorted(measured) == sorted([*names, "short_mr"])


def test_features_belong_to_their_texts_whatever_the_batch(data: Path) -> None:
    model = random_model(context_length=248)
    held_out = read_held_out([data], model)
    texts = held_out.texts["long"]
    with torch.no_grad():
        images = encode_image(model.model, held_out.pixels_NCHW.float()).numpy()
        features = encode_text(model.model, model.tokenize(texts.texts)).numpy()
    expected = score(images, features, texts.image_T).metrics
    measured = measure_recall(model, held_out, batch_size=7)
    assert {name: measured[f"long_{name}"] for name in expected} == expected


def test_held_out_pairs_without_texts_or_of_one_image_are_refused(tmp_path: Path) -> None:
    model = random_model()
    with pytest.raises(UserError, match="fewer than two held-out pairs"):
        read_held_out([write_table(tmp_path / "one.parquet", make_rows(1))], model)
    bare = [{"image": row["image"]} for row in make_rows(3)]
    with pytest.raises(UserError, match=r"bare\.parquet: held-out pairs need the column image and one of caption_long"):
        read_held_out([write_table(tmp_path / "bare.parquet", bare)], model)
    with pytest.raises(UserError, match=r"b\.parquet: the image of a held-out pair cannot be read"):
        read_held_out([write_table(tmp_path / "b.parquet", make_rows(4, unreadable=[2]))], model)


def test_held_out_texts_of_another_type_are_one_line(tmp_path: Path) -> None:
    rows = [{"image": row["image"], "caption_short": number} for number, row in enumerate(make_rows(3))]
    with pytest.raises(UserError, match=r"a\.parquet: column 'caption_short' holds int64, needs text"):
        read_held_out([write_table(tmp_path / "a.parquet", rows)], random_model())


# While training


def test_recall_is_in_the_metrics_every_so_many_steps_and_at_the_end(data: Path, tmp_path: Path) -> None:
    config = settings()
    train(config, [data], out_dir=tmp_path / "out", make_evaluate=make_measures([data], config))
    assert [("eval_long_t2i_r1" in line, "eval_short_i2t_r10" in line) for line in metrics(tmp_path / "out")] == [
        (False, False),
        (False, False),
        (True, True),
        (True, True),
    ]


def test_measuring_changes_nothing_that_is_trained(data: Path, tmp_path: Path) -> None:
    config = settings(eval_every=1)
    train(config, [data], out_dir=tmp_path / "measured", make_evaluate=make_measures([data], config))
    train(config, [data], out_dir=tmp_path / "plain")
    told = [[line["loss"] for line in metrics(tmp_path / name)] for name in ("measured", "plain")]
    assert told[0] == told[1]


def test_tensorboard_shows_losses_and_recall(data: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = settings(tensorboard=True)
    train(config, [data], out_dir=tmp_path / "out", make_evaluate=make_measures([data], config))
    events = EventAccumulator(str(tmp_path / "out" / "tensorboard")).Reload()
    assert {"train/loss", "train/loss_long", "train/lr", "eval/long_t2i_r1"} <= set(events.Tags()["scalars"])
    written = [line["loss"] for line in metrics(tmp_path / "out")]
    assert [event.value for event in events.Scalars("train/loss")] == pytest.approx(written, rel=1e-6)
    assert [event.step for event in events.Scalars("eval/long_t2i_r1")] == [3, 4]


def test_each_step_says_how_long_the_rest_takes(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(settings(), [data], out_dir=tmp_path / "out")
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("step ")]
    assert [line.endswith(" left") for line in lines] == [True, True, True, False]
