"""A sample that kills the engine: found in a few runs, and one row of the rejections."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lrs2m_builder.build import runner
from lrs2m_builder.build.journal import MAX_DEATHS, Journal
from lrs2m_builder.build.shards import iter_rows
from lrs2m_builder.engines import _draining
from lrs2m_builder.engines._base import EngineDiedError, EngineStoppedError
from lrs2m_builder.exchange import AnswerScores, Completion, Request
from lrs2m_builder.stores.folder import FolderStore
from lrs2m_builder.stores.objects import ObjectStore
from tests.fake_engine import FakeModule, mixed_script, scores_of
from tests.object_server import Faults
from tests.replica_builds import shards
from tests.toy import build_toy, ids, make_source, rows

KILLER = "toy/7.jpg#0"


@pytest.fixture(autouse=True)
def no_signal_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (runner, _draining):
        monkeypatch.setattr(module, "SIGNAL_SLACK_S", 0.0)


def build_with_killers(source: Path, out: Path | str, module: FakeModule, **changes: Any) -> int:
    """Run the same command until it ends well, each time on another machine; how often its engine died."""
    for deaths in range(20):
        if isinstance(out, str):
            changes["scratch"] = source.parent / f"scratch-{deaths}"
        try:
            build_toy(source, out, module, **changes)  # type: ignore[arg-type]
        except EngineDiedError:
            continue
        return deaths
    raise AssertionError("the engine dies for ever")


def killed(out: Path) -> set[str]:
    return {row["sample_id"] for row in rows(out, "rejected") if row["reason"] == "engine_killed"}


def test_a_sample_that_kills_the_engine_costs_one_row(tmp_path: Path) -> None:
    source, out = make_source(tmp_path / "source", 30), tmp_path / "out"
    build_toy(source, tmp_path / "whole")
    module = FakeModule(killers={KILLER})
    assert build_with_killers(source, out, module) == MAX_DEATHS + 1
    assert killed(out) == {KILLER}
    for kind in ("data", "rejected"):
        others = [row for row in rows(tmp_path / "whole", kind) if row["sample_id"] != KILLER]
        assert [row for row in rows(out, kind) if row["sample_id"] != KILLER] == others
    *_, alone, last = module.engines
    assert [request.sample_id for request in module.requests].count(KILLER) == MAX_DEATHS + 1
    assert alone.requests[-1].sample_id == KILLER, "nothing is asked beside it"
    assert last.requests, "what was left is asked together again"


def test_several_samples_that_kill_the_engine_are_all_found_and_may_be_retried(tmp_path: Path) -> None:
    source, out = make_source(tmp_path / "source", 20), tmp_path / "out"
    killers = {"toy/3.jpg#0", KILLER, "toy/12.jpg#0"}
    build_with_killers(source, out, FakeModule(killers=killers))
    assert killed(out) == killers
    build_toy(source, out, retry_rejected=True)
    assert not killed(out) and len(ids(out) + ids(out, "rejected")) == 20


def test_a_sample_whose_claims_kill_the_judge_is_found(tmp_path: Path) -> None:
    def judge(request: Request) -> AnswerScores:
        if request.sample_id == KILLER:
            raise EngineDiedError("the engine died")
        return scores_of(0.9)

    source, out = make_source(tmp_path / "source", 10), tmp_path / "out"
    assert build_with_killers(source, out, FakeModule(scores=judge), verify="ask") == MAX_DEATHS + 1
    (row,) = (row for row in rows(out, "rejected") if row["reason"] == "engine_killed")
    assert row["sample_id"] == KILLER and row["attempts"], "its answer is kept"


def test_on_an_object_store_it_is_found_although_each_machine_is_lost(faults: Faults, tmp_path: Path) -> None:
    source, out = make_source(tmp_path / "source", 10), "s3://bucket/killer"
    with suppress(FileExistsError):  # the server is shared
        ObjectStore(out)._s3.mkdir("bucket")
    assert build_with_killers(source, out, FakeModule(killers={KILLER})) == MAX_DEATHS + 1
    (shard,) = (content for name, content in shards(out).items() if name.startswith("rejected"))
    reasons = {row["sample_id"]: row["reason"] for row in iter_rows(io.BytesIO(shard))}
    assert reasons[KILLER] == "engine_killed" and list(reasons.values()).count("engine_killed") == 1


def test_a_process_must_die_twice_with_a_sample_before_it_is_blamed(tmp_path: Path) -> None:
    def opened() -> Journal:
        return Journal(FolderStore(tmp_path), "journal/toy/train-00000")

    for _ in range(MAX_DEATHS):
        journal = opened()
        assert not journal.is_suspect
        journal.note_death()
    asked = []
    for _ in range(2):
        journal = opened()
        assert journal.is_suspect and not journal.has_killed("toy/1")
        with journal.alone("toy/0"):
            pass
        asked.append(journal.alone("toy/1"))
        asked[-1].__enter__()  # and the process is killed
    journal = opened()
    assert journal.has_killed("toy/1") and not journal.has_killed("toy/0")
    assert not journal.is_suspect, "the others are asked together again"


def test_an_endpoint_that_goes_away_is_no_death(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", 10)

    def answer(request: Request) -> Completion:
        if request.sample_id == KILLER:
            raise EngineStoppedError("it went away")
        return mixed_script(request)

    for _ in range(MAX_DEATHS + 1):
        with pytest.raises(EngineStoppedError):
            build_toy(source, tmp_path / "out", FakeModule(answer))
    assert Journal(FolderStore(tmp_path / "out"), "journal/toy/train-00000").num_deaths == 0
