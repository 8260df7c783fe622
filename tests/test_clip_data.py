"""Training reads every row once an epoch, in an order that follows from the seed and can be taken up anywhere."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace
from itertools import combinations, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from lrs2m_builder.clip.preprocess import Normalise, Preprocess, ToPixels, make_transform
from lrs2m_builder.clip.tokens import Tokenize
from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.images.files import image_ref
from lrs2m_builder.images.load import decode
from lrs2m_builder.tokenizer import encode
from lrs2m_builder.train.data import Batches
from lrs2m_builder.train.index import RowIndex, read_index
from lrs2m_builder.train.loading import Batch, BatchRows, ReadSettings, TrainOn, first_sentence
from lrs2m_builder.train.mixture import Order
from lrs2m_builder.train.plan import STREAMS, count_batches, make_plan
from tests.clip_toy import make_data, make_rows, png, write_table

ORDER = Order(seed=0, batch_size=4, pool_rows=32, weights={})
BOTH = ("caption_long", "caption_short")


def reading(train_on: TrainOn = "both", **changes: Any) -> ReadSettings:
    return ReadSettings(train_on, Tokenize(248), ToPixels(32), 32, **changes)


def toy_batches(folder: Path, **changes: Any) -> Batches:
    return Batches(read_index([folder], BOTH), ORDER, reading(), **changes)


def toy_index(num_rows: int, rows_per_group: int = 10, subsets: tuple[str, ...] = ("toy",)) -> RowIndex:
    """An index of rows that are in no file, of random lengths; subsets take turns by row."""
    from lrs2m_builder.train.index import RowGroup

    starts = range(0, num_rows, rows_per_group)
    groups = [RowGroup(Path("a/b"), i, start, min(rows_per_group, num_rows - start)) for i, start in enumerate(starts)]
    lengths = np.random.default_rng(0).integers(20, 248, num_rows, dtype=np.int32)
    return RowIndex(tuple(groups), lengths, np.arange(num_rows, dtype=np.int32) % len(subsets), subsets)


def assert_equal(one: Batch, other: Batch) -> None:
    assert one.long_BT is not None and other.long_BT is not None
    assert torch.equal(one.pixels_BCHW, other.pixels_BCHW) and torch.equal(one.long_BT, other.long_BT)


# The plan


def test_an_epoch_takes_every_row_once_and_the_next_in_another_order() -> None:
    first, second = (make_plan(toy_index(400), ORDER, epoch, 0, 1).rows for epoch in (0, 1))
    assert sorted(first.ravel()) == sorted(second.ravel()) == list(range(400))
    assert first.tolist() != second.tolist()
    assert first.tolist() == make_plan(toy_index(400), ORDER, 0, 0, 1).rows.tolist()


@pytest.mark.parametrize("rows_per_group", [1, 100, 5000, 10_921])
@pytest.mark.parametrize(("num_rows", "world_size"), [(613, 8), (2100, 8), (10_921, 3), (10_921, 64), (70_000, 8)])
def test_every_row_is_read_at_any_number_of_processes_and_any_size_of_row_groups(
    num_rows: int, world_size: int, rows_per_group: int
) -> None:
    order = replace(ORDER, batch_size=64 * world_size, pool_rows=4096)
    index = toy_index(num_rows, rows_per_group)
    plans = [make_plan(index, order, 0, rank, world_size).rows for rank in range(world_size)]
    assert {len(plan) for plan in plans} == {count_batches(index, order, 0, world_size)}
    assert set(np.concatenate(plans).ravel().tolist()) == set(range(num_rows))
    by_step = np.concatenate(plans, axis=1)  # no row is twice in the batch of all processes
    assert all(len(set(step)) == len(step) for step in by_step.tolist())
    assert by_step.size - num_rows < 64 * world_size


def test_neighbouring_rows_are_in_a_batch_as_seldom_as_in_a_full_shuffle() -> None:
    order = replace(ORDER, batch_size=64, pool_rows=1024)
    for num_rows in (8400, 31_500):  # shuffled row by row, and by fragments of row groups
        rows = make_plan(toy_index(num_rows, 100), order, 0, 0, 1).rows
        repeats = np.mean([64 - len(set(batch // 5)) for batch in rows])  # five captions an image
        full = np.random.default_rng(0).permutation(num_rows // 64 * 64).reshape(-1, 64)
        assert repeats < np.mean([64 - len(set(batch // 5)) for batch in full]) + 0.1  # 2.8 in whole row groups


def test_the_first_half_of_an_epoch_shows_nearly_all_images_and_any_two_rows_can_meet() -> None:
    order = replace(ORDER, batch_size=64, pool_rows=1024)
    index = toy_index(31_500, 100)
    rows = make_plan(index, order, 0, 0, 1).rows
    assert len(set((rows[: len(rows) // 2] // 5).ravel())) > 0.95 * 6300
    met = [set(batch // 100) for epoch in range(40) for batch in make_plan(index, order, epoch, 0, 1).rows]
    assert len(set.union(*(groups for groups in met if 0 in groups))) == 315  # row group 0 meets every other


def test_no_row_group_is_read_more_than_eight_times_over_the_shuffle_of_a_large_set() -> None:
    order = replace(ORDER, batch_size=64, pool_rows=1024)
    index = toy_index(31_500, 100)
    plan = make_plan(index, order, 0, 0, 1)
    pools = [set(index.groups_of(plan.rows[plan.pools == pool].ravel()).tolist()) for pool in set(plan.pools.tolist())]
    assert max(Counter(group for groups in pools for group in groups).values()) <= 9  # a fragment may be cut in two
    assert max(np.bincount(plan.pools)) * 64 <= 1024


@pytest.mark.parametrize("num_batches", [2, 5, 131, 1003])
def test_workers_stay_with_their_pools(num_batches: int) -> None:
    order = replace(ORDER, batch_size=4, pool_rows=64)
    plan = make_plan(toy_index(4 * num_batches), order, 0, 0, 1)
    changes = [np.count_nonzero(np.diff(plan.pools[worker::STREAMS])) for worker in range(STREAMS)]
    assert sum(changes) <= max(0, len(set(plan.pools.tolist())) - STREAMS)


@pytest.mark.parametrize(("batch_size", "num_rows"), [(8, 70), (96, 1000), (512, 10_000), (130, 5000)])
def test_the_batches_of_all_processes_are_the_same_at_any_number_of_processes(batch_size: int, num_rows: int) -> None:
    order = replace(ORDER, batch_size=batch_size, pool_rows=256)
    index = toy_index(num_rows)
    whole = make_plan(index, order, 1, 0, 1)
    for world_size in (number for number in range(2, 65) if batch_size % number == 0):
        plans = [make_plan(index, order, 1, rank, world_size) for rank in range(world_size)]
        assert np.concatenate([plan.rows for plan in plans], axis=1).tolist() == whole.rows.tolist()
        assert all(plan.pools.tolist() == whole.pools.tolist() for plan in plans)


def test_processes_with_64_pairs_each_share_no_pool() -> None:
    order = replace(ORDER, batch_size=256, pool_rows=512)
    plans = [make_plan(toy_index(20_000), order, 0, rank, 4).rows for rank in range(4)]
    assert all(not np.intersect1d(one, other).size for one, other in combinations(plans, 2))


def test_texts_of_a_batch_are_of_like_length_on_all_ranks() -> None:
    index, order = toy_index(8000), replace(ORDER, batch_size=128, pool_rows=1024)
    plans = [make_plan(index, order, 0, rank, 2).rows for rank in range(2)]
    longest, shortest = (function(index.num_tokens_R[plans[0]], axis=1) for function in (np.max, np.min))
    assert np.mean(longest - shortest) < 48  # 212 at random: two neighbouring steps of 32 at most, as a rule
    other = np.max(index.num_tokens_R[plans[1]], axis=1)
    assert np.mean(np.abs(longest - other)) < 16


def test_weights_repeat_leave_out_and_halve_subsets() -> None:
    index = toy_index(3000, subsets=("once", "twice", "never", "half"))
    order = replace(ORDER, batch_size=1, weights={"twice": 2.0, "never": 0.0, "half": 0.5})
    taken = Counter(index.subset_R[make_plan(index, order, 0, 0, 1).rows.ravel()])
    assert (taken[0], taken[1], taken[2]) == (750, 1500, 0) and 300 < taken[3] < 450


def test_num_pairs_takes_the_same_rows_in_every_epoch() -> None:
    order = replace(ORDER, num_pairs=40)
    first, second = (set(make_plan(toy_index(400), order, epoch, 0, 1).rows.ravel()) for epoch in (0, 1))
    assert first == second and len(first) == 40


def test_unknown_subset_in_weights_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match="no subset 'tpy' in the data; it has toy"):
        make_plan(toy_index(40), replace(ORDER, weights={"tpy": 1.0}), 0, 0, 1)


def test_less_data_than_a_batch_is_said() -> None:
    with pytest.raises(UserError, match=r"6 rows .*one batch of 4 for each of 2.*use batch_size=3 or less, fewer proc"):
        make_plan(toy_index(6), replace(ORDER, batch_size=8), 0, 0, 2)
    make_plan(toy_index(6), replace(ORDER, batch_size=6), 0, 0, 2)


def test_a_smaller_batch_is_not_advised_where_no_batch_would_do() -> None:
    with pytest.raises(UserError, match=r"6 rows .*each of 4 process\(es\); use fewer processes or more data"):
        make_plan(toy_index(6), replace(ORDER, batch_size=16), 0, 0, 4)


# Reading


def test_lengths_are_the_tokenizers_and_rows_without_a_text_are_left_out(tmp_path: Path) -> None:
    rows = make_rows(8)
    rows[3]["caption_short"] = ""
    index = read_index([write_table(tmp_path / "a.parquet", rows)], BOTH)
    expected = [len(encode(row["caption_long"])) for row in rows]
    expected[3] = 0
    assert index.num_tokens_R.tolist() == expected
    assert 3 not in make_plan(index, replace(ORDER, batch_size=1), 0, 0, 1).rows


def test_missing_column_is_one_line(tmp_path: Path) -> None:
    rows = [{"image": row["image"], "caption_short": row["caption_short"]} for row in make_rows(4)]
    with pytest.raises(UserError, match=r"a\.parquet: no column 'caption_long'; it has caption_short, image"):
        read_index([write_table(tmp_path / "a.parquet", rows)], BOTH)


def test_broken_shard_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(UserError, match=r"a\.parquet: cannot be read"):
        read_index([tmp_path], BOTH)


@pytest.mark.parametrize(
    ("column", "values", "needs"),
    [
        ("caption_long", [1, 2, 3, 4], "text"),
        ("caption_short", [["a"]] * 4, "text"),
        ("image", ["a.png"] * 4, "structs of bytes"),
        ("num_tokens_long", ["9"] * 4, "whole numbers"),
        ("subset", [1.5] * 4, "text"),
    ],
)
def test_a_column_of_another_type_is_one_line(tmp_path: Path, column: str, values: list[Any], needs: str) -> None:
    rows = [row | {column: value} for row, value in zip(make_rows(4), values, strict=True)]
    with pytest.raises(UserError, match=rf"a\.parquet: column '{column}' holds .*, needs {needs}"):
        read_index([write_table(tmp_path / "a.parquet", rows)], BOTH)


def test_text_that_is_no_utf_8_is_one_line(tmp_path: Path) -> None:
    table = pq.read_table(write_table(tmp_path / "a.parquet", make_rows(4)))
    raw = pa.array([b"\xff\xfe"] * 4, pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 4, raw.buffers())
    kept = table.drop_columns([name for name in table.column_names if name.startswith("num_tokens")])
    where = kept.column_names.index("caption_long")
    pq.write_table(kept.set_column(where, "caption_long", broken), tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r"a\.parquet: cannot be read"):
        read_index([tmp_path], BOTH)


def test_texts_are_trimmed_to_the_longest_of_the_batch(tmp_path: Path) -> None:
    batch = next(iter(toy_batches(make_data(tmp_path))))
    assert batch.long_BT is not None and batch.short_BT is not None
    assert (batch.long_BT[:, -1] != 0).any() and batch.long_BT.shape[1] < 120
    assert (batch.short_BT[:, -1] != 0).any() and batch.short_BT.shape[1] < 15
    assert batch.pixels_BCHW.shape == (4, 3, 32, 32)


def test_lengths_can_be_rounded_up_but_never_over_the_context(tmp_path: Path) -> None:
    index = read_index([make_data(tmp_path)], BOTH)
    batch = next(iter(Batches(index, ORDER, reading(length_multiple=32))))
    assert batch.short_BT is not None and batch.short_BT.shape[1] == 32
    narrow = replace(reading(length_multiple=32), tokenize=Tokenize(20))
    batch = next(iter(Batches(index, ORDER, narrow)))
    assert batch.long_BT is not None and batch.long_BT.shape[1] == 20


@pytest.mark.parametrize(("train_on", "has_long", "has_short"), [("short", False, True), ("long", True, False)])
def test_a_text_that_is_not_trained_on_is_not_read(
    tmp_path: Path, train_on: TrainOn, has_long: bool, has_short: bool
) -> None:
    rows = [{k: v for k, v in row.items() if k in {"image", f"caption_{train_on}"}} for row in make_rows(8)]
    path = write_table(tmp_path / "a.parquet", rows)
    batch = next(iter(Batches(read_index([path], (f"caption_{train_on}",)), ORDER, reading(train_on))))
    assert (batch.long_BT is not None, batch.short_BT is not None) == (has_long, has_short)


def test_first_sentence_serves_as_the_short_text(tmp_path: Path) -> None:
    assert first_sentence("A field. It is green.") == "A field."
    index = read_index([make_data(tmp_path)], ("caption_long",))
    ours, own = (next(iter(Batches(index, ORDER, reading(t)))) for t in ("first_sentence", "both"))
    assert ours.short_BT is not None and own.short_BT is not None and torch.equal(ours.short_BT, own.short_BT)


def test_equal_images_and_texts_have_equal_ids(tmp_path: Path) -> None:
    rows = make_rows(4)
    rows[1]["image"] = rows[0]["image"]
    rows[2]["caption_short"] = rows[0]["caption_short"]
    batch = next(iter(Batches(read_index([write_table(tmp_path / "a.parquet", rows)], BOTH), ORDER, reading())))
    assert batch.short_ids_B is not None and batch.long_ids_B is not None
    assert [len(set(ids.tolist())) for ids in (batch.image_ids_B, batch.short_ids_B, batch.long_ids_B)] == [3, 3, 4]


def test_unreadable_images_are_replaced_and_counted(tmp_path: Path) -> None:
    batches = toy_batches(make_data(tmp_path, unreadable=(5, 41)))
    epoch = list(islice(batches, batches.num_batches(0)))
    assert sum(batch.num_unreadable for batch in epoch) == 2
    assert all(len(set(batch.image_ids_B.tolist())) == 4 for batch in epoch)
    assert "train-0000" in next(batch.problem for batch in epoch if batch.problem)


def test_a_folder_of_unreadable_images_stops_with_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="16 consecutive images cannot be read"):
        next(iter(toy_batches(make_data(tmp_path, unreadable=range(64)))))


def test_rows_that_name_their_image_need_its_folder(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="image_dir"):
        image_ref({"bytes": None, "path": "0.png"})
    (tmp_path / "0.png").write_bytes(png(3))
    assert (
        decode(image_ref({"bytes": None, "path": "0.png"}, tmp_path)).tobytes() == decode(image_ref(png(3))).tobytes()
    )


@pytest.mark.parametrize("side", [256, 800])
def test_training_sees_the_pixels_that_evaluations_see(side: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (side // 4, side // 4, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((side, side)).save(buffer, "JPEG", quality=90)
    transform = make_transform(Preprocess(64))
    with Image.open(buffer) as evaluated:
        assert torch.equal(transform(decode(image_ref(buffer.getvalue()))), transform(evaluated.convert("RGB")))


def test_a_batch_holds_bytes_that_normalised_are_what_evaluations_see(tmp_path: Path) -> None:
    rows = make_rows(8)
    index = read_index([write_table(tmp_path / "a.parquet", rows)], BOTH)
    batch = next(iter(Batches(index, ORDER, reading())))
    assert batch.pixels_BCHW.dtype == torch.uint8
    assert batch.pixels_BCHW.is_contiguous(memory_format=torch.channels_last)
    transform = make_transform(Preprocess(32))
    evaluated = {transform(decode(image_ref(row["image"]))).numpy().tobytes() for row in rows}
    assert {each.contiguous().numpy().tobytes() for each in Normalise()(batch.pixels_BCHW)} <= evaluated


# The position


@pytest.mark.parametrize("workers", [0, 2])
def test_a_position_taken_up_gives_the_batches_that_were_left(tmp_path: Path, workers: int) -> None:
    order = replace(ORDER, pool_rows=12)
    index = read_index([make_data(tmp_path)], BOTH)
    whole = Batches(index, order, reading(), workers=workers)
    reader, states, expected = iter(whole), [], []
    for _ in range(20):  # 16 are an epoch
        expected.append(next(reader))
        states.append(whole.state_dict())
    for stopped in (0, 4, 15, 17):
        again = Batches(index, order, reading(), workers=(workers + stopped) % 4)
        again.load_state_dict(states[stopped])
        for one, other in zip(expected[stopped + 1 : stopped + 3], islice(again, 2), strict=False):
            assert_equal(one, other)


def test_a_position_in_other_data_is_refused(tmp_path: Path) -> None:
    state = toy_batches(make_data(tmp_path / "a")).state_dict()
    with pytest.raises(UserError, match="made with another data"):
        toy_batches(make_data(tmp_path / "b", 32)).load_state_dict(state)


def test_only_the_rows_of_the_pool_are_held(tmp_path: Path) -> None:
    rows = make_rows(256)
    index = read_index([write_table(tmp_path / "a.parquet", rows, rows_per_group=256)], BOTH)
    plan = make_plan(index, ORDER, 0, 0, 1)
    batches = BatchRows(index, plan, reading())
    for number in range(len(plan)):
        batches[number]
        assert all(len(pool.rows) <= ORDER.pool_rows for pool in batches._pools.values())


def test_a_row_group_is_read_once_in_a_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = toy_batches(make_data(tmp_path, 128))
    reads: Counter[int] = Counter()
    read = pq.ParquetFile.iter_batches

    def counted(self: pq.ParquetFile, *arguments: Any, row_groups: list[int], **options: Any) -> Any:
        reads[row_groups[0]] += 1
        return read(self, *arguments, row_groups=row_groups, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)
    list(islice(batches, batches.num_batches(0)))
    assert reads.total() <= 16 * 4  # groups, pools
