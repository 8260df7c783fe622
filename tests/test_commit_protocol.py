"""Two files of a shard are one state whoever writes them, dies or wakes up late: random programs over both stores."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lrs2m_builder.build import commit as protocol
from lrs2m_builder.build.commit import Shard, ShardStatus, settle
from lrs2m_builder.build.shards import read_rejections, stored_rows, write_shard
from lrs2m_builder.schema import Record, Rejection
from lrs2m_builder.stores._base import ReplacedError, Store, StoredFile
from lrs2m_builder.stores.folder import FolderStore
from lrs2m_builder.stores.objects import ObjectStore
from tests.object_server import Faults

SAMPLES = tuple(f"toy/{number}" for number in range(5))
DEATH, OTHER_FIRST = 0.06, 0.12


class DiedError(Exception):
    """A writer was killed."""


class Meddled:
    """A store between whose steps a writer may die, and others do their whole work."""

    def __init__(self, store: Store, chance: random.Random, others: list[Callable[[], None]]) -> None:
        self._store, self._chance, self._others = store, chance, others

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in {"publish", "replace", "find", "read", "open"}:
            return found

        def step(*arguments: Any) -> Any:
            if self._others and self._chance.random() < OTHER_FIRST:
                self._others.pop(self._chance.randrange(len(self._others)))()
            if self._chance.random() < DEATH:
                raise DiedError
            return found(*arguments)

        return step


def record(sample_id: str, text: str) -> Record:
    return Record(
        sample_id=sample_id,
        subset="toy",
        image_name="a.png",
        image_path=None,
        caption_short="short",
        caption_long=text,
        short_source="a",
        long_source="b",
        num_tokens_short=1,
        num_tokens_long=1,
        anchors=(),
        label="",
        license="CC0-1.0",
        recipe="r",
        prompts=(),
        model="m",
        model_revision="1",
        engine="e",
        seed=1,
        attempts=1,
        finish_reason="stop",
        warnings=(),
    )


def write(shard: Shard, chance: random.Random, writer: str) -> None:
    """Build a shard that is not there, or ask again what was rejected."""
    status = settle(shard, len(SAMPLES), lambda line: None)
    left = SAMPLES if status is None else tuple(each.sample_id for each in read_rejections(shard))
    outcomes: dict[str, Record | Rejection] = {
        each: Rejection(each, "refusal", writer) if chance.random() < 0.4 else record(each, writer) for each in left
    }
    number = 0 if status is None else status.round + 1
    write_shard(shard, SAMPLES, outcomes, before=status, number=number, embed_images=False)


def content(store: Store) -> tuple[list[str], list[str]]:
    """The ids of records and rejections, after everything was settled."""
    shard = Shard(store, "toy", 0)
    status = settle(shard, len(SAMPLES), lambda line: None)
    assert status is not None
    records = [row["sample_id"] for row in stored_rows(shard, status.found)]
    return records, [each.sample_id for each in read_rejections(shard)] if status.is_whole else ["lost"]


def run_program(store: Store, seed: int) -> tuple[list[str], list[str]]:
    """Four writers of one shard, who die and meet anywhere; what is there in the end."""
    chance = random.Random(seed)
    others: list[Callable[[], None]] = []

    def job(number: int) -> None:
        for _ in range(20):  # a dead writer's work is handed out again
            meddled: Any = Meddled(store, chance, others)
            try:
                write(Shard(meddled, "toy", 0), chance, f"writer {number}")
                break
            except (DiedError, ReplacedError):
                continue

    others += [lambda number=number: job(number) for number in range(3)]
    job(9)
    while others:
        others.pop()()
    return content(store)


@pytest.fixture
def objects(faults: Faults, request: pytest.FixtureRequest) -> ObjectStore:
    store = ObjectStore(f"s3://bucket/{request.node.name}", patience_s=20)
    store._call(lambda: store._s3.call_s3("create_bucket", Bucket="bucket"), "")
    return store


def test_no_sample_is_lost_or_doubled_in_a_folder(tmp_path: Path) -> None:
    for seed in range(100):
        records, rejections = run_program(FolderStore(tmp_path / str(seed)), seed)
        assert sorted(records + rejections) == sorted(SAMPLES), seed


def test_no_sample_is_lost_or_doubled_on_an_object_store(objects: ObjectStore, tmp_path: Path) -> None:
    for seed in range(4):
        store = ObjectStore(f"{objects.address}/{seed}", scratch=tmp_path, patience_s=20)
        records, rejections = run_program(store, seed)
        assert sorted(records + rejections) == sorted(SAMPLES), seed


def test_rejections_and_records_renamed_in_turn_would_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def in_turn(shard: Shard, records: Path, rejections: Path, before: StoredFile | None) -> bool:
        for name, file in ((shard.rejected, rejections), (shard.data, records)):
            found = shard.store.find(name)
            shard.store.replace(name, file, found.version) if found else shard.store.publish(name, file)
        return True

    def ids(path: Path) -> list[str]:
        files = (path / "data", path / "rejected")
        return [
            each
            for folder in files
            for file in folder.rglob("[!.]*.parquet")
            for each in pq.read_table(file, columns=["sample_id"])["sample_id"].to_pylist()
        ]

    monkeypatch.setattr("lrs2m_builder.build.shards.commit", in_turn)
    monkeypatch.setattr(protocol, "_agrees", lambda *_: True)
    mixed = 0
    for seed in range(25):
        try:
            run_program(FolderStore(tmp_path / str(seed)), seed)
        except AssertionError:  # a later writer of the shard found it mixed
            mixed += 1
            continue
        mixed += sorted(ids(tmp_path / str(seed))) != sorted(SAMPLES)
    assert mixed


def test_a_writer_that_comes_second_leaves_nothing_and_is_told(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    shard, chance = Shard(store, "toy", 0), random.Random(0)
    late: dict[str, Record | Rejection] = {each: record(each, "late") for each in SAMPLES}
    write(shard, chance, "first")
    there = (tmp_path / shard.data).read_bytes()
    assert write_shard(shard, SAMPLES, late, embed_images=False) is None
    status = settle(shard, len(SAMPLES), print)
    assert isinstance(status, ShardStatus) and (tmp_path / shard.data).read_bytes() == there
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()]
