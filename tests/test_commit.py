"""The two files of a shard are one state, and so are a round of retries and a restart, wherever they were killed."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lrs2m_builder.build import commit, shards
from lrs2m_builder.build.stored_rows import ADDED
from lrs2m_builder.build.telemetry import Repetition
from lrs2m_builder.engines._base import ENDPOINT_FAILED, EngineStoppedError
from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.exchange import Completion, Request
from lrs2m_builder.files import read_json
from lrs2m_builder.stores import folder as folder_store
from tests.fake_engine import FakeModule, good_text
from tests.toy import build_toy, file_bytes, ids, make_source, rows

DATA = Path("data/toy/train-00000.parquet")
REJECTED = Path("rejected/toy/train-00000.parquet")


class Killed(BaseException):
    """As if the process ended here: nothing that follows is done."""


def good(request: Request) -> Completion:
    return Completion(good_text(request.seed), "stop", 10, 20)


def killed_at(monkeypatch: pytest.MonkeyPatch, target: object, name: str, number: int = 1) -> None:
    """Let the so-manyth call of a function kill the build."""
    real, calls = getattr(target, name), []

    def call(*args: object, **kwargs: object) -> object:
        calls.append(args)
        if len(calls) == number:
            raise Killed
        return real(*args, **kwargs)

    monkeypatch.setattr(target, name, call)


def retried(source: Path, out: Path, module: FakeModule | None = None) -> FakeModule:
    module = module or FakeModule(good)
    build_toy(source, out, module, retry_rejected=True, max_attempts=1)
    return module


def test_a_retry_killed_between_its_two_renames_is_finished_by_any_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out, whole = make_source(tmp_path / "source", 10), tmp_path / "out", tmp_path / "whole"
    for folder in (out, whole):
        build_toy(source, folder, max_attempts=1)
    assert ids(out, "rejected")
    retried(source, whole)
    with monkeypatch.context() as patch:
        killed_at(patch, commit, "_name_rejections")
        with pytest.raises(Killed):
            retried(source, out)
    assert file_bytes(out) != file_bytes(whole)
    module = FakeModule(good)
    assert build_toy(source, out, module, max_attempts=1).rejections == {}
    assert not module.requests
    assert file_bytes(out) == file_bytes(whole)
    assert not [path for path in out.rglob(".*") if path.name != ".lock"]


def test_a_retry_killed_five_times_asks_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out, whole = make_source(tmp_path / "source", 40), tmp_path / "out", tmp_path / "whole"
    for folder in (out, whole):
        build_toy(source, folder, max_attempts=1)
    once = len({request.request_id for request in retried(source, whole).requests})
    asked: list[str] = []
    for number in (1, 2, 3, 1, 1):
        with monkeypatch.context() as patch:
            killed_at(patch, commit, "_name_rejections", number)
            module = FakeModule(good)
            try:
                retried(source, out, module)
            except Killed:
                pass
            else:
                break
            finally:
                asked += [request.request_id for request in module.requests]
    build_toy(source, out, FakeModule(good), max_attempts=1)
    assert len(asked) == len(set(asked)) == once
    assert file_bytes(out) == file_bytes(whole)
    assert read_json(out / "build.json")["round"] == {"number": 1, "open": False}


def test_a_second_round_asks_again_what_the_first_rejected(tmp_path: Path) -> None:
    source, out = make_source(tmp_path / "source", 10), tmp_path / "out"
    refuse = FakeModule(lambda request: Completion("Sorry.", "stop"))
    build_toy(source, out, refuse, max_attempts=1)
    for number in (2, 3):
        build_toy(source, out, refuse, max_attempts=1, retry_rejected=True)
        assert {len(row["attempts"]) for row in rows(out, "rejected")} == {number}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def of_another_build(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(table.slice(0, max(0, table.num_rows - 1)), path)


@pytest.mark.parametrize("harm", [Path.unlink, cut, empty, of_another_build])
@pytest.mark.parametrize("file", [DATA, REJECTED])
def test_a_harmed_file_of_a_finished_shard_is_mended_by_the_next_run(
    tmp_path: Path, file: Path, harm: Callable[[Path], None]
) -> None:
    source, out, whole = make_source(tmp_path / "source", 20), tmp_path / "out", tmp_path / "whole"
    for folder in (out, whole):
        build_toy(source, folder, max_attempts=1)
    harm(out / file)
    module = FakeModule()
    build_toy(source, out, module, max_attempts=1)
    assert file_bytes(out) == file_bytes(whole)
    asked = {request.sample_id for request in module.requests}
    kept = {f"toy/{number}.jpg#0" for number in range(10, 20)} | (set(ids(whole)) if file == REJECTED else set())
    assert asked and not asked & kept, "it asked for what was not lost"


def test_a_lost_file_of_no_rejections_is_written_again_without_a_model(tmp_path: Path) -> None:
    source, out = make_source(tmp_path / "source", 10), tmp_path / "out"
    build_toy(source, out, FakeModule(good))
    whole = file_bytes(out)
    (out / REJECTED).unlink()
    module = FakeModule()
    build_toy(source, out, module)
    assert not module.engines
    assert file_bytes(out) == whole


def test_swapped_shards_are_built_anew(tmp_path: Path) -> None:
    source, out, whole = make_source(tmp_path / "source", 20), tmp_path / "out", tmp_path / "whole"
    for folder in (out, whole):
        build_toy(source, folder)
    shutil.copy(out / "data/toy/train-00001.parquet", out / DATA)
    build_toy(source, out)
    assert file_bytes(out) == file_bytes(whole)
    assert (out / DATA).with_name(".train-00000.parquet.damaged").exists(), "what was there is kept under another name"


@pytest.mark.parametrize("name", ["data/toy/train-00002.parquet", "data/other/a.parquet", "rejected/toy/copy.parquet"])
def test_a_stray_shard_is_said_and_not_counted(tmp_path: Path, name: str) -> None:
    source, out = make_source(tmp_path / "source", 20), tmp_path / "out"
    build_toy(source, out)
    (out / name).parent.mkdir(exist_ok=True)
    shutil.copy(out / DATA, out / name)
    with pytest.raises(UserError, match=r"not a shard of this build, which has 2 of subset toy; move it away"):
        build_toy(source, out)


def test_a_disk_that_fails_is_no_reason_to_build_a_shard_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = make_source(tmp_path / "source", 10), tmp_path / "out"
    build_toy(source, out)

    def fail(path: Path) -> str:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(folder_store, "open_regular", fail)
    with pytest.raises(UserError, match="Input/output error"):
        build_toy(source, out)
    monkeypatch.undo()
    module = FakeModule()
    build_toy(source, out, module)
    assert not module.requests


def test_a_killed_restart_goes_on_with_the_same_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = make_source(tmp_path / "source", 30), tmp_path / "out"
    build_toy(source, out)
    asked: list[str] = []
    for _ in range(3):
        with monkeypatch.context() as patch:
            killed_at(patch, commit, "_name_rejections")
            module = FakeModule()
            with pytest.raises(Killed):
                build_toy(source, out, module, seed=1, restart=True)
            asked += [request.request_id for request in module.requests]
    build_toy(source, out, seed=1, restart=True)
    assert len(asked) == len(set(asked))
    assert not (tmp_path / "out.2").exists()
    build_toy(source, out, seed=1, restart=True)
    assert (tmp_path / "out.2").is_dir(), "a finished restart is begun anew when it is asked for again"


def test_a_killed_restart_with_other_settings_is_set_aside_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = make_source(tmp_path / "source", 30), tmp_path / "out"
    build_toy(source, out)
    killed_at(monkeypatch, commit, "_name_rejections")
    with pytest.raises(Killed):
        build_toy(source, out, seed=1, restart=True)
    build_toy(source, out, seed=2, restart=True)
    assert read_json(tmp_path / "out.2" / "build.json")["settings"]["seed"] == 1


def test_a_row_that_no_column_can_hold_is_rejected_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shards.record_row

    def odd(record: object, image: object) -> dict[str, object]:
        row = real(record, image)  # type: ignore[arg-type]
        if row["sample_id"] == "toy/3.jpg#0":
            row["label"] = "half \ud83d"
        if row["sample_id"] == "toy/4.jpg#0":
            row["attempts"] = 2**40
        if row["sample_id"] == "toy/5.jpg#0":
            row["warnings"] = [{"no": "text"}]
        return row

    monkeypatch.setattr(shards, "record_row", odd)
    report = build_toy(make_source(tmp_path / "source", 10), tmp_path / "out", FakeModule(good))
    assert (report.records, report.rejections) == (7, {"not_storable": 3})
    assert all(row["attempts"] for row in rows(tmp_path / "out", "rejected")), "the answers are kept"


def test_a_flipped_bit_inside_a_shard_is_said(tmp_path: Path) -> None:
    source, out = make_source(tmp_path / "source", 10), tmp_path / "out"
    build_toy(source, out)
    group, content = pq.read_metadata(out / DATA).row_group(0), (out / DATA).read_bytes()
    columns = [group.column(number) for number in range(group.num_columns)]
    for column in (column for column in columns if column.path_in_schema in {"image.bytes", "caption_long"}):
        flipped = bytearray(content)
        flipped[column.data_page_offset + column.total_compressed_size // 2] ^= 4
        (out / DATA).write_bytes(flipped)
        with pytest.raises(UserError, match="not a readable shard"):
            rows(out)


def test_a_build_as_it_was_written_before_there_were_footers_is_finished(tmp_path: Path) -> None:
    source, out = make_source(tmp_path / "source", 10), tmp_path / "out"
    build_toy(source, out)
    for path in (out / DATA, out / REJECTED):
        pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    module = FakeModule()
    build_toy(source, out, module)
    assert not module.requests


def test_a_shard_that_an_earlier_version_committed_halfway_is_finished_without_a_model(tmp_path: Path) -> None:
    source, out = make_source(tmp_path / "source", 20), tmp_path / "out"
    build_toy(source, out, max_attempts=1)
    whole = file_bytes(out)
    for path in sorted((out / "rejected").rglob("*.parquet")):
        path.rename(path.with_name(f".{path.name}.next"))
    module = FakeModule()
    build_toy(source, out, module, max_attempts=1)
    assert not module.engines
    assert file_bytes(out) == whole and not list(out.rglob("*.next"))


def test_what_a_killed_writer_left_beside_a_shard_goes(tmp_path: Path) -> None:
    source, out = make_source(tmp_path / "source", 10), tmp_path / "out"
    build_toy(source, out)
    for path in (DATA.with_name(".train-00000.parquet.part"), REJECTED.with_name(".train-00000.parquet.next")):
        (out / path).write_bytes(b"torn")
    build_toy(source, out)
    assert {path.name for path in out.rglob("*train*")} == {"train-00000.parquet"}


def test_what_the_endpoint_could_not_answer_is_asked_again_by_the_same_command(tmp_path: Path) -> None:
    source, out, whole = make_source(tmp_path / "source", 20), tmp_path / "out", tmp_path / "whole"
    away = {"toy/3.jpg#0", "toy/4.jpg#0", "toy/15.jpg#0"}

    def answer(request: Request) -> Completion:
        if request.sample_id in away:
            raise SampleError(ENDPOINT_FAILED, "HTTP 503")
        return good(request)

    assert build_toy(source, out, FakeModule(answer)).rejections == {ENDPOINT_FAILED: 3}
    assert build_toy(source, out, FakeModule(answer)).rejections == {ENDPOINT_FAILED: 3}
    back = FakeModule(good)
    assert build_toy(source, out, back).rejections == {}
    assert {request.sample_id for request in back.requests} == away
    build_toy(source, whole, FakeModule(good))
    assert file_bytes(out) == file_bytes(whole)


def test_an_engine_that_ends_with_a_signal_to_the_group_is_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(request: Request) -> Completion:
        if len(module.requests) == 10:
            os.kill(os.getpid(), signal.SIGTERM)
        if len(module.requests) >= 10:
            raise EngineStoppedError("the engine's process died")
        return good(request)

    module = FakeModule(die)
    source, out = make_source(tmp_path / "source", 40), tmp_path / "out"
    report = build_toy(source, out, module, engine_options={"max_in_flight": 1})
    assert report.stopped and report.kept_answers
    assert build_toy(source, out, FakeModule(good)).records == 40


def test_a_telemetry_file_that_cannot_be_written_stops_no_build(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    build_toy(make_source(tmp_path / "source", 4), out, limit=2)
    (out / "telemetry.jsonl").unlink()
    (out / "telemetry.jsonl").mkdir()
    (out / DATA).unlink()
    assert build_toy(tmp_path / "source" / "toy.yaml", out, limit=2).samples == 2
    assert "telemetry.jsonl: Is a directory; the build continues without it" in capfd.readouterr().err


def test_one_answer_for_many_images_is_said_while_the_build_runs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    same = FakeModule(lambda request: Completion(good_text(7), "stop"))
    build_toy(make_source(tmp_path / "source", 40), tmp_path / "out", same)
    said = [line for line in capfd.readouterr().err.splitlines() if "got the same answer" in line]
    assert len(said) == 1 and said[0].startswith("warning: 15 of 15 samples")


def test_different_answers_are_no_repetition() -> None:
    repetition = Repetition()
    warnings = [repetition.add(0, str(n), f"A field number {n // 4}.") for n in range(2000)]
    assert not any(warnings)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"run": 3}', b'{"run": {}}', b"\xff"])
def test_a_broken_report_of_a_finished_build_is_written_anew(tmp_path: Path, content: bytes) -> None:
    source, out = make_source(tmp_path / "source", 4), tmp_path / "out"
    build_toy(source, out)
    (out / "report.json").write_bytes(content)
    assert build_toy(source, out).samples == 4
    assert read_json(out / "report.json")["samples"] == 4


def test_a_shard_of_an_earlier_version_with_fewer_columns_stays(tmp_path: Path) -> None:
    source, out = make_source(tmp_path / "source", 20), tmp_path / "out"
    first = build_toy(source, out)
    data = out / "data" / "toy" / "train-00000.parquet"
    metadata = pq.read_metadata(data).metadata
    table = pq.read_table(data)
    table = table.drop_columns([name for name in table.column_names if name in ADDED])
    pq.write_table(table.replace_schema_metadata(metadata), data)
    content = data.read_bytes()
    module = FakeModule()
    again = build_toy(source, out, module)
    assert (again.records, again.rejections) == (first.records, first.rejections)
    assert data.read_bytes() == content
    assert not module.requests
