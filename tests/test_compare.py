"""Two builds compared: rows joined by image, blind votes that nothing loses, and a table that says who won."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lrs2m_builder.dataset.compare.pairs import open_pairs
from lrs2m_builder.dataset.compare.server import Server
from lrs2m_builder.dataset.compare.tally import outcome, wilson
from lrs2m_builder.dataset.compare.votes import Vote, Votes
from lrs2m_builder.dataset.compare.voting import Voting, default_votes
from lrs2m_builder.dataset.scores.table import RowScores, Scoring, text_sha256
from lrs2m_builder.dataset.scores.write import score_table
from tests.chrome import chromium
from tests.fake_engine import FakeModule, mixed_script
from tests.in_process import lrs2m
from tests.toy import build_toy, make_source
from tests.view_data import make_data
from tests.view_server import ask, in_thread

NUM = 8
OTHER_TEXT = {
    n: f"The image shows field {n} beside a narrow road, and a row of trees stands at its edge." for n in range(9)
}


def rewrite(folder: Path, column: str, change: Callable[[Any], Any]) -> None:
    """Change a column of a build's rows."""
    for path in (folder / "data").rglob("*.parquet"):
        table = pq.read_table(path)
        at = table.schema.get_field_index(column)
        values = pa.array(map(change, table[column].to_pylist()), table.schema.field(at).type)
        pq.write_table(table.set_column(at, table.schema.field(at), values), path)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two builds of the same eight images; their long texts differ, and the second warns less and rejects nothing."""
    first = make_data(tmp_path / "a" / "first", NUM, 3)
    second = make_data(tmp_path / "b" / "second", NUM, 0, caption_long=OTHER_TEXT, warnings=dict.fromkeys(range(9), ()))
    rewrite(second, "model", lambda _: "other/model")
    return first, second


@contextmanager
def serving(voting: Voting) -> Iterator[Server]:
    with Server(voting, 0) as server, in_thread(server):
        yield server


def voting_on(pair: tuple[Path, Path], reviewer: str = "Ada", **changes: Any) -> Voting:
    return Voting(*pair, None, reviewer, **({"limit": 100, "seed": 0} | changes))


def table_of(pair: tuple[Path, Path], *options: str) -> dict[str, Any]:
    made = lrs2m("compare", *pair, "--json", *options)
    assert made.code == 0, made.err
    table: dict[str, Any] = json.loads(made.out)
    return table


def side_of(shown: dict[str, Any], text: str) -> str:
    """The side whose long text begins so."""
    return "left" if shown["left"]["caption_long"].startswith(text) else "right"


def test_rows_are_joined_by_sample_id_and_the_rest_by_the_image(pair: tuple[Path, Path]) -> None:
    assert open_pairs(*pair).num_pairs == NUM
    rewrite(pair[1], "sample_id", lambda name: name if name == "tiles/1.png" else f"other/{name}")
    joined = open_pairs(*pair)
    assert (joined.num_pairs, joined.only) == (NUM, (0, 0))
    assert sorted((each.sample_id, each.id_b) for each in joined.draw(9, 0)) == [
        (f"tiles/{n}.png", f"{'' if n == 1 else 'other/'}tiles/{n}.png") for n in range(1, NUM + 1)
    ]
    for each in joined.draw(9, 0):
        assert each.a < joined.first_b["records"] <= each.b


def test_rows_of_another_image_or_of_one_build_alone_are_counted_and_left_out(pair: tuple[Path, Path]) -> None:
    first, second = pair
    rewrite(second, "image_sha256", lambda sha256: sha256[::-1] if sha256 < "8" else sha256)
    made = lrs2m("compare", first, second, "--json")
    table = json.loads(made.out)
    assert 0 < table["other_image"] < NUM
    assert table["pairs"] + table["other_image"] == NUM
    assert table["a"]["only"] == table["b"]["only"] == table["other_image"]
    assert f"{table['other_image']} rows have the same sample_id and another image; they are left out" in made.err
    assert f"only in {first}: {table['other_image']}" in made.err


def test_images_with_the_same_texts_are_not_voted_on(tmp_path: Path) -> None:
    first = make_data(tmp_path / "a" / "first", 4, 0)
    second = make_data(tmp_path / "b" / "second", 4, 0, caption_long={2: OTHER_TEXT[2]})
    pairs = open_pairs(first, second)
    assert pairs.num_same == 3 and [each.sample_id for each in pairs.draw(9, 0)] == ["tiles/2.png"]
    same = make_data(tmp_path / "c" / "third", 4, 0)
    made = lrs2m("compare", first, same, "--port", "0")
    assert made.code == 2 and "all 4 images have the same texts in both; there is nothing to vote on" in made.err


def test_of_several_long_texts_the_first_is_compared_and_the_command_says_so(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", 3)
    build_toy(source, tmp_path / "one")
    build_toy(source, tmp_path / "several", seed=5, texts=2)
    made = lrs2m("compare", tmp_path / "one", tmp_path / "several", "--json")
    assert "3 images have several long texts (captions_long); only the first is compared" in made.err
    assert json.loads(made.out)["several_texts"] == 3


@pytest.mark.parametrize("bad", ["nowhere", "empty", "same", "inside", "no common image"])
def test_what_cannot_be_compared_is_one_line(pair: tuple[Path, Path], bad: str, tmp_path: Path) -> None:
    first, second = pair
    (tmp_path / "empty").mkdir()
    rewrite(second, "sample_id", lambda name: f"other/{name}")
    rewrite(second, "image_sha256", lambda sha256: sha256[::-1])
    given = {"nowhere": tmp_path / "nowhere", "empty": tmp_path / "empty", "same": first, "inside": first / "data"}
    said = {
        "nowhere": "no such folder",
        "empty": "no Parquet files",
        "same": "given twice",
        "inside": "given twice, or inside another",
        "no common image": "no image in common",
    }
    assert said[bad] in lrs2m("compare", first, given.get(bad, second), "--json").error


def test_the_sides_are_shuffled_by_the_seed_and_the_page_learns_no_name(pair: tuple[Path, Path]) -> None:
    drawn = voting_on(pair).drawn
    assert {each.left for each in drawn} == {"a", "b"}
    assert voting_on(pair).drawn == drawn and voting_on(pair, seed=1).drawn != drawn
    assert voting_on(pair, limit=3).drawn == drawn[:3]
    with serving(voting_on(pair)) as server:
        told = [
            ask(server, address)[2].decode() for address in ("/api/about", *(f"/api/pair?at={n}" for n in range(NUM)))
        ]
    names = [*map(str, pair), "other/model", "Qwen"]
    assert len(told) == NUM + 1 and not [name for name in names for text in told if name in text]


def test_a_vote_counts_for_the_build_whose_text_was_on_that_side(pair: tuple[Path, Path]) -> None:
    with serving(voting_on(pair)) as server:
        for at in range(NUM):
            shown = json.loads(ask(server, f"/api/pair?at={at}")[2])
            choice = side_of(shown, "The image shows field") if at < 5 else ("tie", "both_bad", "tie")[at - 5]
            status, _, content = ask(server, "/api/vote", {"at": at, "vote": choice})
            assert status == 200 and sum(json.loads(content)["voted"]) == at + 1
    table = table_of(pair)
    assert [table["wins"][name] for name in ("a", "b", "tie", "both_bad")] == [0, 5, 2, 1]
    assert table["wins"]["share_b"] == 1 and table["wins"]["better"] == "b"
    assert table["wins"]["interval_b"] == pytest.approx([0.5655, 1.0], abs=1e-4)
    assert table["reviewers"]["Ada"]["votes"] == NUM and table["left"]["decided"] == 5
    assert table["a"]["rejected"] == {"anchor_missing": 2, "refusal": 1} and table["b"]["rejected"] == {}
    assert table["a"]["warnings"] == {"hedge": 1} and table["b"]["warnings_per_row"] == 0
    assert table["a"]["tokens_long"] > 30 and table["b"]["models"] == ["other/model"]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ({"at": 0, "vote": "a"}, {}, 400),
        ({"at": NUM, "vote": "left"}, {}, 400),
        ({"vote": "left"}, {}, 400),
        ([], {}, 400),
        ({"at": 0, "vote": "left"}, {"X_Token": "guessed"}, 403),
        ({"at": 0, "vote": "left"}, {"Origin": "http://elsewhere"}, 403),
    ],
)
def test_what_is_no_vote_of_the_page_is_refused(pair: tuple[Path, Path], body: Any, headers: Any, status: int) -> None:
    with serving(voting_on(pair)) as server:
        assert ask(server, "/api/vote", body, **headers)[0] == status
    assert not default_votes(*pair).exists()


def test_a_resumed_voting_continues_and_the_last_vote_on_a_pair_counts(pair: tuple[Path, Path]) -> None:
    voting = voting_on(pair)
    for at in (0, 1, 2):
        voting.vote(at, "tie")
    voting.vote(1, "both_bad")
    again = voting_on(pair)
    assert again.about()["voted"] == [True] * 3 + [False] * 5
    assert [again.pair(at)["vote"] for at in range(4)] == ["tie", "both_bad", "tie", None]
    assert voting_on(pair, "Bob").about()["voted"] == [False] * NUM
    wins = table_of(pair)["wins"]
    assert (wins["tie"], wins["both_bad"], wins["interval_b"], wins["better"]) == (2, 1, None, None)


def test_votes_on_texts_that_changed_since_are_not_counted(pair: tuple[Path, Path]) -> None:
    voting_on(pair).vote(0, "left")
    rewrite(pair[1], "caption_long", lambda text: f"{text} It is dry.")
    assert voting_on(pair).about()["voted"] == [False] * NUM
    table = table_of(pair)
    assert table["wins"]["votes"] == 0 and table["other_votes"] == 1


def test_a_partial_line_of_votes_is_skipped(pair: tuple[Path, Path]) -> None:
    voting = voting_on(pair)
    voting.vote(0, "left")
    path = default_votes(*pair)
    assert path == pair[0] / "votes" / "second.jsonl"
    path.write_bytes(path.read_bytes() + b'{"sample_id": "tiles/1.png", "cho')
    Votes(path).save(voting.drawn[1], "tie", "Bob")
    assert sorted(len(each) for each in Votes(path).all().values()) == [1, 1]
    assert table_of(pair, "--votes", str(path))["reviewers"].keys() == {"Ada", "Bob"}


def test_a_file_of_something_else_is_not_written_to(pair: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("my notes\n")
    made = lrs2m("compare", *pair, "--json", "--votes", tmp_path / "notes.txt")
    assert "holds no votes; give another file as --votes" in made.err and made.code == 2


def score(build: Path, name: str, value: float, **settings: str) -> None:
    """The same score of every long text of a build."""
    with score_table(build, Scoring(name, "toy", settings, {"long": pa.float32()}), print) as table:
        for file in table.files:
            records = pq.read_table(file.path, columns=["sample_id", "caption_long"]).to_pylist()
            with table.open_shard(file) as shard:
                shard.keep(
                    [RowScores(r["sample_id"], None, text_sha256(r["caption_long"]), {"long": value}) for r in records]
                )
                shard.finish()


def test_scores_of_both_are_compared_if_they_were_made_alike(pair: tuple[Path, Path]) -> None:
    for build, value in zip(pair, (0.25, 0.5), strict=True):
        score(build, "clip", value, model="one")
        score(build, "other", value, model=build.name)
    score(pair[0], "alone", 1.0)
    table = table_of(pair)
    assert table["scores"] == {"clip_long": {"pairs": NUM, "a": 0.25, "b": 0.5, "higher_a": 0, "higher_b": 1}}
    assert table["other_scores"] == ["other"]
    shown = voting_on(pair).pair(0)
    side = side_of(shown, "The image shows field")
    assert {"name": "clip_long", "value": 0.5, "is_older": False} in shown[side]["scores"]


def test_a_pair_counts_once_whoever_voted_on_it() -> None:
    def votes(*choices: str) -> dict[str, Vote]:
        return {str(n): Vote("x", choice, "a", "1", "2", "") for n, choice in enumerate(choices)}

    assert outcome(votes("a", "b", "b")) == "b"
    assert (
        outcome(votes("a", "b")) == outcome(votes("a", "b", "both_bad")) == outcome(votes("tie", "both_bad")) == "tie"
    )
    assert outcome(votes("both_bad", "both_bad", "tie")) == "both_bad"


def test_the_interval_is_that_of_wilson() -> None:
    """Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20 and 1 of 29 by method 3."""
    for wins, trials, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        assert wilson(wins, trials) == pytest.approx((low, high), abs=1e-4)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=1e-4)


def test_a_person_votes_by_keys_and_reads_the_table(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", 6)
    build_toy(source, tmp_path / "first")
    build_toy(source, tmp_path / "second", FakeModule(mixed_script), seed=7, max_attempts=1)
    pair = tmp_path / "first", tmp_path / "second"
    voting = voting_on(pair)
    keys = ["ArrowLeft", "ArrowRight", "t", "b", "ArrowLeft", "ArrowLeft"][: len(voting.drawn)]
    expected = {"a": 0, "b": 0, "tie": 0, "both_bad": 0}
    for key, drawn in zip(keys, voting.drawn, strict=True):
        expected[{"ArrowLeft": drawn.left, "ArrowRight": drawn.right, "t": "tie", "b": "both_bad"}[key]] += 1
    with serving(voting) as server, chromium(tmp_path / "profile") as tab:
        tab.size(1280, 800)
        tab.call("Page.navigate", url=server.address)
        tab.wait_for("document.querySelector('.both')")
        assert tab.evaluate("document.querySelector('.both').innerText").endswith("seen for the time 0 .")
        for at, key in enumerate(keys):
            tab.wait_for(
                f"document.querySelector('#status')?.textContent == 'pair {at + 1} of {len(keys)}, {at} voted'"
            )
            assert "second" not in tab.evaluate("document.body.innerText")
            tab.press(key)
        tab.wait_for("!document.querySelector('#table').hidden && document.querySelector('#table h2')")
        cells = (
            "[...document.querySelector('#table table tbody').querySelectorAll('td')].map(e => Number(e.textContent))"
        )
        assert tab.evaluate(cells) == list(expected.values())
        assert "B: second" in tab.evaluate("document.body.innerText") and tab.trouble == []
    table = table_of(pair)
    assert {name: table["wins"][name] for name in expected} == expected
    assert sum(table["b"]["rejected"].values()) == table["a"]["only"] == 6 - len(keys)


SLOW_PAIRS = """const fetched = window.fetch; window.fetch = async (address, options) => {
    if (address.startsWith('/api/pair')) await new Promise(done => setTimeout(done, 500));
    return fetched(address, options); }; 0"""


def test_a_second_key_before_the_next_pair_is_there_is_no_second_vote(pair: tuple[Path, Path], tmp_path: Path) -> None:
    with serving(voting_on(pair)) as server, chromium(tmp_path / "profile") as tab:
        tab.call("Page.navigate", url=server.address)
        tab.wait_for("document.querySelector('.side')")
        tab.evaluate(SLOW_PAIRS)
        tab.press("t")
        while not default_votes(*pair).exists():
            tab.evaluate("new Promise(done => setTimeout(done, 20))")
        tab.evaluate("new Promise(done => setTimeout(done, 100))")
        tab.press("b")
        tab.wait_for("document.querySelector('#status').textContent == 'pair 2 of 8, 1 voted'")
    assert [json.loads(line)["choice"] for line in default_votes(*pair).read_text().splitlines()] == ["tie"]
