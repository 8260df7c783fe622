"""`lrs2m verify`: verdicts beside a data set, killed at any moment, none asked twice, none of another judge."""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lrs2m_builder.cli import main
from lrs2m_builder.dataset.verify.report import VerifyReport
from lrs2m_builder.dataset.verify.run import VerifyOptions, verify
from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.exchange import AnswerScores, Request
from lrs2m_builder.files import write_json
from lrs2m_builder.stores.lock import LOCK_NAME, locked
from tests.export_data import exported_ids, png, row, write_rows
from tests.fake_engine import FakeModule, scores_of
from tests.in_process import lrs2m

NUM_KILLS = 3
WINDOW = 8  # of the scripted engine
NAMES = ("plane", "ship", "house", "car", "bridge", "pond", "tree")


def data_set(folder: Path, num_rows: int = 24, shard_size: int = 8, **changes: dict[str, Any]) -> Path:
    """Rows that each say something else; `changes` of a row by its number, as "r4"."""
    write_json(folder / "build.json", {"settings": {"recipe": "toy"}})
    rows = []
    for number in range(num_rows):
        one, other = NAMES[number % 7], NAMES[(number + 3) % 7]
        long = f"There are {number + 2} {one}s in the image. A {other} lies on the left. No {NAMES[(number + 5) % 7]}s."
        texts = {"caption_long": long, "caption_short": f"A {one} near a {other}."}
        rows.append(row(number) | texts | changes.get(f"r{number}", {}))
    for index in range(0, num_rows, shard_size):
        write_rows(folder / "data" / "a" / f"train-{index // shard_size:05d}.parquet", rows[index : index + shard_size])
    return folder


def judged(path: Path, module: FakeModule | None = None, **changes: Any) -> VerifyReport:
    return verify(VerifyOptions(**({"path": path, "model": "toy", "engine": "fake"} | changes)), module or FakeModule())


def tables(path: Path, kind: str = "", name: str = "verify") -> list[dict[str, Any]]:
    files = sorted((path / "scores" / name / kind / "a").glob("*.parquet"))
    return [found for file in files for found in pq.read_table(file).to_pylist()]


def tree(path: Path) -> dict[str, bytes]:
    """The files, but for the lock, which names its last holder."""
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name != LOCK_NAME)
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def asked(module: FakeModule) -> Counter[tuple[str, str]]:
    return Counter((request.sample_id, request.parts[1].splitlines()[-1]) for request in module.requests)


def test_every_text_gets_a_verdict_and_every_claim_a_row(tmp_path: Path) -> None:
    before = tree(data_set(tmp_path) / "data")
    module = FakeModule()
    report = judged(tmp_path, module)
    rows, claims = tables(tmp_path), tables(tmp_path, "claims")
    assert [found["sample_id"] for found in rows] == [f"a/{number}" for number in range(24)]
    assert sum(found["long_num_claims"] + found["short_num_claims"] for found in rows) == len(claims)
    assert len(claims) == sum(counts["claims"] for counts in report.kinds.values())
    for found in rows:
        of_row = [c for c in claims if c["sample_id"] == found["sample_id"] and c["column"] == "caption_long"]
        worst = min(of_row, key=lambda claim: claim["score"])
        assert found["long_min"] == worst["score"] and found["long_worst"] == worst["words"]
        assert found["long_num_false"] == sum(claim["is_false"] for claim in of_row)
    assert {"object", "count", "place", "relation", "denial"} <= set(report.kinds)
    assert report.run.cached_share == pytest.approx(0.6) and not report.run.rows_left
    assert max(asked(module).values()) == 1, "a statement of both texts was asked twice"
    assert tree(tmp_path / "data") == before


def test_a_finished_data_set_is_asked_nothing_again(tmp_path: Path) -> None:
    first = judged(data_set(tmp_path))
    module, made = FakeModule(), tree(tmp_path)
    again = judged(tmp_path, module)
    assert not module.engines and tree(tmp_path) == made
    assert (again.kinds, again.shown, again.texts) == (first.kinds, first.shown, first.texts)


def test_a_run_with_a_limit_is_continued_without_one(tmp_path: Path) -> None:
    module = FakeModule()
    judged(data_set(tmp_path), module, limit=10)
    assert sum(found["long_min"] is not None for found in tables(tmp_path)) == 10
    rest = FakeModule()
    judged(tmp_path, rest)
    assert not asked(module) & asked(rest)
    assert all(found["long_min"] is not None for found in tables(tmp_path))


def test_another_judge_under_the_same_name_is_refused_with_the_difference(tmp_path: Path) -> None:
    judged(data_set(tmp_path))
    with pytest.raises(UserError, match=r"model\.name was toy, now other"):
        judged(tmp_path, model="other")
    with pytest.raises(UserError, match=r"thresholds\.count was 0\.5, now 0\.1"):
        judged(tmp_path, thresholds={"count": 0.1})
    judged(tmp_path, model="other", name="other")
    assert tables(tmp_path, name="other")


def test_scores_are_columns_of_where(tmp_path: Path) -> None:
    judged(data_set(tmp_path / "data_set"))
    kept = exported_ids(tmp_path / "data_set", tmp_path / "out", where="verify_long_min > 0.2")
    assert kept == [r["sample_id"] for r in tables(tmp_path / "data_set") if r["long_min"] > 0.2]
    assert 0 < len(kept) < 24


def thinking(request: Request) -> AnswerScores:
    return scores_of(0.9, mass=0.1)


def test_a_model_that_does_not_answer_yes_or_no_is_refused_before_anything_is_kept(tmp_path: Path) -> None:
    module = FakeModule(scores=thinking)
    with pytest.raises(UserError, match="only 10% of its answers"):
        judged(data_set(tmp_path), module)
    assert len(module.requests) < 20, "it was asked on"
    assert not tables(tmp_path)
    judged(tmp_path, model="another", limit=3)  # the name is still free
    assert tables(tmp_path)


def test_what_cannot_be_judged_is_null_with_its_reason(tmp_path: Path) -> None:
    def scores(request: Request) -> AnswerScores:
        if request.sample_id == "a/5":
            raise SampleError("prompt_too_long", "9 tokens of at most 8")
        return scores_of(0.9)

    broken = {"image": {"bytes": b"\xff\xd8 no image", "path": "4.png"}}
    data_set(tmp_path, r3={"image": {"bytes": None, "path": "3.png"}}, r4=broken, r6={"caption_long": None})
    judged(tmp_path, FakeModule(scores=scores))
    found = {r["sample_id"]: (r["long_reason"], r["long_min"], r["long_num_unanswered"]) for r in tables(tmp_path)}
    assert found["a/3"] == ("image_missing", None, 5)
    assert found["a/4"][0] == "image_unreadable" and found["a/5"] == ("prompt_too_long", None, 5)
    assert found["a/6"] == ("no_claims", None, 0)
    assert found["a/7"][0] is None and found["a/7"][1] == pytest.approx(0.9)


def test_images_that_rows_only_name_are_read_from_their_folder(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "1.png").write_bytes(png((1, 2, 3)))
    data = data_set(tmp_path / "data_set", 2, r1={"image": {"bytes": None, "path": "1.png"}})
    judged(data, image_dir=tmp_path / "pictures")
    assert [found["long_reason"] for found in tables(data)] == [None, None]


def test_a_claim_that_is_only_bounded_says_so(tmp_path: Path) -> None:
    bound = AnswerScores((-0.1, -4.0), None, True)
    judged(data_set(tmp_path, 2), FakeModule(scores=lambda request: bound))
    assert {claim["is_bound"] for claim in tables(tmp_path, "claims")} == {True}


def run_command(path: Path, log: Path, delay_s: float) -> None:
    """In a process of its own: the command line with the scripted engine behind it."""
    module = FakeModule(log=log, delay_s=delay_s)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lrs2m_builder.engines.engine_module", lambda name: module)
        patch.setattr(sys, "argv", ["lrs2m", "verify", str(path), "--model", "toy", "--engine", "fake"])
        main()


@pytest.fixture(scope="module")
def start() -> Callable[[Path, Path, float], BaseProcess]:
    """Start `run_command`; the processes are forked from one that has imported everything."""
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])

    def begin(path: Path, log: Path, delay_s: float) -> BaseProcess:
        process = context.Process(target=run_command, args=(path, log, delay_s))
        process.start()
        return process

    return begin


def wait_for_claims(log: Path, more_than: int, is_alive: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and is_alive():
        if log.exists() and log.read_bytes().count(b"\n") > more_than:
            return
        time.sleep(0.01)


def kept(path: Path) -> set[str]:
    """The claims that stand in a journal as whole lines or in a finished table, as the scripted engine logs them."""
    found = {f"{claim['sample_id']} Statement: {claim['words']}" for claim in tables(path, "claims")}
    for journal in (path / "scores").rglob("*.jsonl"):
        content = journal.read_bytes()
        for line in content[: content.rfind(b"\n") + 1].splitlines():
            for answer in json.loads(line.partition(b" ")[2])["answers"]:
                found |= {f"{answer['sample_id']} Statement: {claim['words']}" for claim in answer["claims"]}
    return found


def test_a_run_killed_several_times_ends_as_one_never_killed(
    tmp_path: Path, start: Callable[[Path, Path, float], BaseProcess]
) -> None:
    whole, killed, log = data_set(tmp_path / "whole", 60, 20), data_set(tmp_path / "killed", 60, 20), tmp_path / "log"
    judged(whole)
    random_ = random.Random(3)
    known: set[str] = set()
    for _ in range(NUM_KILLS):
        before = log.read_text().splitlines() if log.exists() else []
        child = start(killed, log, 0.01)
        wait_for_claims(log, len(before) + random_.randint(1, 90), child.is_alive)
        time.sleep(random_.random() * 0.02)
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL, "it ended before it was killed: give it more to do"
        assert not known & set(log.read_text().splitlines()[len(before) :]), "a kept claim was asked again"
        known = kept(killed)
    judged(killed, FakeModule(log=log))
    assert tree(killed) == tree(whole)
    lines = [(claim["sample_id"], claim["column"], claim["words"]) for claim in tables(killed, "claims")]
    assert len(lines) == len(set(lines))
    assert Counter(sample_id for sample_id, _, _ in lines).keys() == {f"a/{number}" for number in range(60)}


def test_a_signal_keeps_what_is_in_flight_and_exits_130(
    tmp_path: Path, start: Callable[[Path, Path, float], BaseProcess]
) -> None:
    log = tmp_path / "log"
    process = start(data_set(tmp_path / "data_set", 60), log, 0.1)
    wait_for_claims(log, 20, process.is_alive)
    process.terminate()
    process.join(timeout=300)
    assert process.exitcode == 130
    assert kept(tmp_path / "data_set") == set(log.read_text().splitlines()), "a claim in flight was dropped"
    judged(tmp_path / "data_set", FakeModule(log=log))
    assert max(Counter(log.read_text().splitlines()).values()) == 1


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    folder = data_set(tmp_path) / "scores" / "verify"
    folder.mkdir(parents=True)
    with locked(folder, "verify"), pytest.raises(UserError, match="another verify of this process is writing there"):
        judged(tmp_path)


def test_the_command_prints_verdicts_claims_and_the_remedy_for_an_idle_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cold = AnswerScores((-0.2, -2.0), ((1,), (2,)), False, 100, 0)
    module = FakeModule(scores=lambda request: cold)
    monkeypatch.setattr("lrs2m_builder.engines.engine_module", lambda name: module)
    found = lrs2m("verify", data_set(tmp_path), "--model", "toy", "--show-claims", "2", "--texts", "long")
    assert found.code == 0, found.err
    assert "caption_long: 24 judged, 0 with a false claim" in found.out and "caption_short" not in found.out
    assert "shared nothing" in found.out and "docs/verify.md" in found.out
    assert found.out.count("There are") == 2


def test_the_result_is_one_json_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrs2m_builder.engines.engine_module", lambda name: FakeModule())
    found = lrs2m("verify", data_set(tmp_path), "--model", "toy", "--json", "--threshold", "count=0.2")
    report = json.loads(found.out)
    assert report["texts"]["long"]["judged"] == 24 and len(report["shown"]) == 5
    assert report["run"]["num_asked"] > 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--texts", "long,medium"), "--texts long,medium: write long, short or long,short"),
        (("--threshold", "colour=0.2"), "no kind of claim 'colour'"),
        (("--name", "Wrong Name"), "--name 'Wrong Name'"),
    ],
)
def test_wrong_settings_are_one_line(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    found = lrs2m("verify", data_set(tmp_path), "--model", "toy", "--engine", "transformers", *arguments)
    assert message in found.error
