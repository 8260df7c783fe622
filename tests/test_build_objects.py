"""A build on an object store: the data set of a build in a folder, whatever fails on the way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lrs2m_builder.build.journal import Journal, publish_abandoned
from lrs2m_builder.dataset.copies import data_folder
from lrs2m_builder.dataset.stats import read_stats
from lrs2m_builder.errors import UserError
from lrs2m_builder.exchange import Attempt, Completion, Request
from lrs2m_builder.stores import holding
from lrs2m_builder.stores._base import Store, StoreUnavailable
from lrs2m_builder.stores.holding import held
from lrs2m_builder.stores.objects import ObjectStore
from lrs2m_builder.stores.scratch import own_scratch
from tests.fake_engine import FakeModule, mixed_script
from tests.object_server import Faults
from tests.toy import ROOT, build_toy, file_bytes, ids, make_source


@pytest.fixture
def store(faults: Faults, request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    store = ObjectStore(f"s3://bucket/{request.node.name}", scratch=tmp_path / "scratch", patience_s=5)
    store._call(lambda: store._s3.call_s3("create_bucket", Bucket="bucket"), "")
    return store


def build_there(source: Path, store: ObjectStore, module: FakeModule | None = None, **changes: Any) -> Any:
    changes = {"scratch": store._scratch, "max_attempts": 1} | changes
    return build_toy(source, store.address, module, **changes)  # type: ignore[arg-type]


def shards(store: ObjectStore) -> dict[str, bytes]:
    return {found.name: store.read(found.name) or b"" for kind in ("data", "rejected") for found in store.files(kind)}


def in_folder(source: Path, out: Path, **changes: Any) -> dict[str, bytes]:
    build_toy(source, out, max_attempts=1, **changes)
    return {name: content for name, content in file_bytes(out).items() if not name.startswith("plan/")}


def test_a_build_in_parts_a_retry_and_the_readers(store: ObjectStore, faults: Faults, tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", 20)
    whole = in_folder(source, tmp_path / "whole")
    for number in (2, 1):
        build_there(source, store, part=(number, 2))
    module = FakeModule()
    report = build_there(source, store, module)
    assert not module.engines and report.samples == 20
    assert shards(store) == whole
    faults.requests.clear()
    build_there(source, store, retry_rejected=True)
    assert shards(store) == in_folder(source, tmp_path / "whole", retry_rejected=True)
    names = {found.name.partition("/")[0] for found in store.files()}
    assert names == {"build.json", "data", "plan", "rejected", "report.json", "telemetry"}
    texts = data_folder(store.address, with_images=False)
    assert read_stats(texts).subsets[0].pairs == len(ids(tmp_path / "whole"))
    faults.requests.clear()
    data_folder(store.address, with_images=False)
    assert not [each for each in faults.requests if ".parquet" in each], "what has not changed is not read again"


def test_a_store_that_goes_away_loses_nothing(
    store: ObjectStore, faults: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(holding, "TAKEN_OVER_AFTER_S", 0.5)
    source = make_source(tmp_path / "source", 20)

    def answer(request: Request) -> Completion:
        if len(module.requests) >= 12 and not faults.pending:
            away = [(method, (503, "SlowDown")) for method in ("PUT", "GET", "HEAD", "POST", "DELETE")]
            faults.pending = away * 1000
        return mixed_script(request)

    module = FakeModule(answer)
    with pytest.raises(StoreUnavailable, match="run the same command again when the store answers"):
        build_there(source, store, module, stall_minutes=0.02)
    faults.reset()
    again = FakeModule()
    build_there(source, store, again)
    asked = [request.request_id for request in module.requests]
    assert not set(asked) & {request.request_id for request in again.requests}, "a kept answer was asked for again"
    assert shards(store) == in_folder(source, tmp_path / "whole")


def test_answers_are_published_in_pieces_and_read_from_all_of_them(store: ObjectStore, tmp_path: Path) -> None:
    journal = Journal(store, "journal/toy/train-00000")
    for number in (1, 2):
        journal.append(Attempt(f"toy/{number}", 0, 1, 7, "text", "stop"))
        journal.publish(journal.cut())
    journal.append(Attempt("toy/3", 0, 1, 7, "text", "stop"))  # its writer dies: it waits in the scratch folder
    names = [found.name.rpartition("/")[2] for found in store.files("journal")]
    assert [name[:4] + name[-13:] for name in names] == ["0001-000000.jsonl", "0001-000001.jsonl"]
    there = ObjectStore(store.address, scratch=tmp_path / "other machine", patience_s=5)
    assert list(Journal(there, "journal/toy/train-00000").attempts) == ["toy/1", "toy/2"]
    assert list(Journal(store, "journal/toy/train-00000").attempts) == ["toy/1", "toy/2", "toy/3"]


def test_answers_of_a_dead_replica_are_published_and_those_of_a_living_one_left_alone(store: ObjectStore) -> None:
    def answered(replica: Store, sample_id: str) -> None:
        Journal(replica, "journal/toy/train-00000").append(Attempt(sample_id, 0, 1, 7, "text", "stop"))

    dead = store.with_replica("dead")
    answered(dead, "toy/1")
    with own_scratch(store) as living:
        answered(living, "toy/2")
        publish_abandoned(store)
        assert list(Journal(store, "journal/toy/train-00000").attempts) == ["toy/1"]
        assert not dead.scratch.exists() and living.scratch.exists()
    publish_abandoned(store)
    assert set(Journal(store, "journal/toy/train-00000").attempts) == {"toy/1", "toy/2"}
    assert not list(store.replicas.iterdir())


def test_two_builds_at_once_are_refused_and_a_dead_one_is_not(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(holding, "RENEW_EVERY_S", 0.1)
    with held(store, (1, 2)):
        for part in ((1, 2), (1, 3), None):
            with pytest.raises(UserError, match=r"another build of part 1/2 \(process"), held(store, part):
                pass
        with held(store, (2, 2)):
            pass
    assert not list(store.files())
    monkeypatch.setattr(holding, "TAKEN_OVER_AFTER_S", 0.2)
    (tmp_path / "lease").write_text(json.dumps({"what": "build", "host": "another-host", "pid": 1}))
    store.publish("lease.json", tmp_path / "lease")
    with held(store, None):
        assert json.loads(store.read("lease.json") or b"")["host"] != "another-host"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"AWS_SECRET_ACCESS_KEY": ""}, "no usable credentials|no such bucket"),
        ({"bucket": "nowhere"}, "s3://nowhere: no such bucket"),
        ({"conditions": ""}, "ignores conditions"),
        ({"restart": ""}, "--restart: an object store cannot rename"),
    ],
    ids=["credentials", "bucket", "conditions", "restart"],
)
def test_a_store_that_cannot_be_used_is_one_line(
    change: dict[str, str], words: str, faults: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "conditions" in change:
        store = ObjectStore("s3://bucket/x", patience_s=5)
        store._call(lambda: store._s3.call_s3("create_bucket", Bucket="bucket"), "")
        faults.unconditional = ("PUT", "POST")
    if "AWS_SECRET_ACCESS_KEY" in change:
        for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("HOME", str(tmp_path))
    source = make_source(tmp_path / "source", 2)
    module = FakeModule()
    with pytest.raises(UserError, match=words) as caught:
        build_toy(
            source,
            f"s3://{change.get('bucket', 'bucket')}/run",  # type: ignore[arg-type]
            module,
            scratch=tmp_path / "scratch",
            stall_minutes=0.05,
            restart="restart" in change,
        )
    assert not module.requests and "\n" not in str(caught.value) and "AKIA" not in str(caught.value)


def test_parts_killed_at_random_on_a_store_with_faults_end_as_one_process(faults: Faults) -> None:
    command = [sys.executable, "-m", "tests.scale_campaign", "--kills", "3"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
