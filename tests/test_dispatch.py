"""Which replica has which shard: every shard is handed out until it is finished, whoever dies."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from lrs2m_builder.build.cluster import _largest_share
from lrs2m_builder.build.commit import Shard
from lrs2m_builder.build.dispatch import Dispatcher
from lrs2m_builder.build.telemetry import Meter
from lrs2m_builder.build.work import ShardLeft
from lrs2m_builder.stores.folder import FolderStore


def shards(number: int) -> list[ShardLeft]:
    return [ShardLeft(Shard(FolderStore(Path("out")), "toy", index, ""), 10, None, 10) for index in range(number)]


def test_shards_are_handed_out_in_order_and_once() -> None:
    dispatcher = Dispatcher(shards(5))
    taken = [dispatcher.take(name) for name in ("a", "b", "a", "b", "a", "b")]
    assert [left and left.shard.index for left in taken] == [0, 1, 2, 3, 4, None]


def test_what_a_dead_replica_had_is_handed_out_first() -> None:
    dispatcher = Dispatcher(shards(6))
    for name in ("a", "a", "b", "a"):
        dispatcher.take(name)
    dispatcher.report("a", Meter(), [1])
    dispatcher.take_back("a", died=True)
    assert [left.shard.index for _ in range(4) if (left := dispatcher.take("b"))] == [0, 3, 4, 5]


def test_every_shard_is_finished_whatever_dies() -> None:
    for seed in range(200):
        random_ = random.Random(seed)
        dispatcher, finished, name = Dispatcher(shards(20)), set[int](), 0
        alive: dict[str, list[int]] = {"r0": [], "r1": []}
        while len(finished) < 20:
            replica = random_.choice(list(alive))
            if random_.random() < 0.1:
                dispatcher.take_back(replica, died=True)
                del alive[replica]
                name += 1
                alive[f"new{name}"] = []
            elif random_.random() < 0.5 and (left := dispatcher.take(replica)):
                alive[replica].append(left.shard.index)
            elif alive[replica]:
                done = alive[replica].pop(random_.randrange(len(alive[replica])))
                assert done not in finished
                finished.add(done)
                dispatcher.report(replica, Meter(), [done])
        assert dispatcher.standing(60).num_waiting == 0


def test_counts_of_dead_replicas_stay() -> None:
    dispatcher = Dispatcher(shards(2))
    dispatcher.report("a", Meter(requests=5, passed=2), [])
    dispatcher.report("a", Meter(requests=9, passed=3), [])
    dispatcher.take_back("a", died=True)
    dispatcher.report("b", Meter(requests=1, passed=1), [])
    total = dispatcher.standing(60).meter
    assert (total.requests, total.passed) == (10, 4)


def test_who_takes_a_shard_is_told_of_the_processes_that_died_with_it() -> None:
    dispatcher = Dispatcher(shards(3))
    told = []
    for number, died in enumerate((True, False, True, True)):
        left = dispatcher.take(f"r{number}")
        assert left is not None and left.shard.index == 0
        told.append(left.num_deaths)
        dispatcher.take_back(f"r{number}", died=died)
    assert told == [0, 1, 0, 1]


def test_stopping_hands_out_no_more_and_tells_the_replicas() -> None:
    dispatcher = Dispatcher(shards(3))
    assert dispatcher.report("a", Meter(), []) is False
    dispatcher.stop()
    assert dispatcher.take("a") is None
    assert dispatcher.report("a", Meter(), []) is True


def test_a_replica_that_says_nothing_is_named_once_it_has_begun() -> None:
    dispatcher = Dispatcher(shards(3))
    dispatcher.take("a")
    assert dispatcher.standing(0).silent == dispatcher.standing(0).ready == set()
    dispatcher.report("a", Meter(), [])
    assert dispatcher.standing(-1).ready == dispatcher.standing(-1).silent == {"a"}
    assert dispatcher.standing(60).silent == set()


@pytest.mark.parametrize(
    ("nodes", "replicas", "share"),
    [([8, 8], 1, 8), ([8, 8], 2, 8), ([8, 8], 4, 4), ([5, 3], 2, 3), ([1, 1], 1, 1), ([2], 5, 1), ([], 1, 1)],
)
def test_a_replica_asks_for_no_more_cpus_than_a_node_has(nodes: list[int], replicas: int, share: int) -> None:
    assert _largest_share(nodes, replicas) == share
