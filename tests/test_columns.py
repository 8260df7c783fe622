"""Sources read by the column: the same shards as by the row, to the byte, and by the row where columns do not do."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pytest

from lrs2m_builder import prepare
from lrs2m_builder.build import Report, build
from lrs2m_builder.checks import MOJIBAKE, REPETITION, Answer, split_words
from lrs2m_builder.clip.tokenizer import count_tokens
from lrs2m_builder.columns.table import ColumnTable, _keys, fits, read_table
from lrs2m_builder.columns.texts import measure_texts
from lrs2m_builder.columns.vocabulary import Vocabulary
from lrs2m_builder.errors import UserError
from lrs2m_builder.manifest import load_manifest
from lrs2m_builder.prepare import BuildOptions
from lrs2m_builder.recipe import load_recipe
from lrs2m_builder.schema import Sample
from lrs2m_builder.sources import join_key, open_source, rs5m, vhm_json
from lrs2m_builder.sources.base import NotColumnarError, SourceColumns
from lrs2m_builder.sources.resolve import ImageFinder
from lrs2m_builder.text import normalise_caption
from tests.fake_engine import FakeModule
from tests.test_long_to_short import entry, write_vhm
from tests.test_merge import METADATA, millionaid, write_rs5m
from tests.test_text_and_tokenizer import TRICKY, read_captions
from tests.toy import ROOT, file_bytes, ids, rows

PLAIN = "Two planes and four cars stand near the terminal, and a road leads to it."
# What a row may be that is not ordinary: long text, short text (None: none, a tuple: several).
ODD: list[tuple[str, Any]] = [
    ("", "a harbor"),
    ("   ", "a harbor"),
    (PLAIN, None),
    (PLAIN, ""),
    (PLAIN, ("a harbor with ships", "many ships", "a harbor with ships")),
    (PLAIN, "many  ships\tin a\nharbor "),
    ("The river&apos;s bank &amp; a road.", "cafÃ© roof, the riverâ€™s bank"),
    ("A “curly” quote – and a dash.", "<start_of_text> a marker"),
    ("Is it a road? It is a road.", "C:\\path\\x41"),
    ("Trees and trees. " * 12, "the road the road the road the road the road"),
    (" ".join(f"Tree number {n} is green." for n in range(80)), " ".join(f"tree {n}" for n in range(60))),
    ("中文 only", "bell\x07 null"),
]


def write_source(folder: Path, num_plain: int = 60) -> Path:
    """A folder with VHM's list and RS5M's in which odd rows stand among ordinary ones, one image named twice."""
    folder = millionaid(folder, num_plain)
    entries = json.loads((folder / "list_pretrain.json").read_text())
    lines = (folder / "rs3_dump.csv").read_text().splitlines()
    captions = [tuple(line.split(",", 1)) for line in lines[1:]]
    for number, (long, short) in enumerate(ODD):
        name = f"odd_{number}.jpg"
        entries.insert(5 * number, entry(name, "MillionAID", long))
        of_image = (short,) if isinstance(short, str) else short or ()
        captions += [(f"millionaid_{name}", text) for text in of_image]
    entries += [entries[1], entries[1], entry("../../outside.jpg", "MillionAID"), entry("other.jpg", "fMoW")]
    write_vhm(folder, [each for each in entries if ".." not in each["image"]])
    (folder / "list_pretrain.json").write_text(json.dumps(entries))
    (folder / "MillionAID" / "P0000007.jpg").unlink()
    captions += [("fmow_stadium_3_1_rgb.jpg", "a stadium"), ("millionaid_nowhere.jpg", "an image that is nowhere")]
    write_rs5m(folder / "rs3_dump.csv", {})
    with (folder / "rs3_dump.csv").open("a", newline="") as file:
        import csv

        csv.writer(file).writerows(captions)
    return folder


def merge(folder: Path, out: Path, **changes: Any) -> Report:
    options = BuildOptions(
        recipe="merge", source="millionaid", data_dir=folder, out_dir=out, **{"images": "reference", **changes}
    )
    return build(options, FakeModule())


def by_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "read_table", lambda *arguments: None)


@pytest.mark.parametrize(
    "changes", [{}, {"shard_size": 7}, {"limit": 41}, {"checks": {"repetition": "error"}}], ids=str
)
def test_shards_by_the_column_are_those_by_the_row_to_the_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    folder = write_source(tmp_path / "data")
    report = merge(folder, tmp_path / "columns", **changes)
    by_the_row(monkeypatch)
    assert merge(folder, tmp_path / "rows", **changes).rejections == report.rejections
    assert file_bytes(tmp_path / "columns") == file_bytes(tmp_path / "rows")
    settings = [json.loads((tmp_path / name / "build.json").read_text())["settings"] for name in ("columns", "rows")]
    assert settings[0] == settings[1]


def test_every_odd_row_ends_as_it_should(tmp_path: Path) -> None:
    report = merge(write_source(tmp_path / "data"), tmp_path / "out")
    assert report.rejections == {"duplicate_row": 2, "image_missing": 2, "no_caption_long": 2, "no_captions": 2}
    assert report.samples == report.records + 8 == 60 + len(ODD) + 3
    found = {row["image"]["path"].rpartition("/")[2]: row for row in rows(tmp_path / "out")}
    assert found["odd_4.jpg"]["caption_short"] == "a harbor with ships"
    assert found["odd_5.jpg"]["caption_short"] == "many ships in a harbor"
    assert found["odd_6.jpg"]["caption_short"] == "café roof, the river's bank"
    assert found["odd_9.jpg"]["warnings"] == ["repetition"]
    assert found["odd_10.jpg"]["warnings"] == ["clip_budget"]


def test_a_source_of_mostly_odd_rows_is_read_by_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_source(tmp_path / "data", num_plain=8)
    (folder / "MillionAID" / "P0000007.jpg").touch()
    seen = []
    real = prepare.read_table
    monkeypatch.setattr(prepare, "read_table", lambda *arguments: seen.append(real(*arguments)) or seen[-1])
    merge(folder, tmp_path / "out")
    assert seen == [None]


def test_a_few_odd_rows_at_the_end_do_not_send_a_source_by_the_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vhm_json, "ROWS_AT_ONCE", 20)
    table = load_table(millionaid(tmp_path, 60, only_long=4))
    assert table is not None and list(table.others) == [60, 61, 62, 63]


@pytest.mark.filterwarnings("error")
def test_a_batch_in_which_no_entry_is_wanted_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vhm_json, "ROWS_AT_ONCE", 20)
    folder = millionaid(tmp_path, 60)
    path = folder / "list_pretrain.json"
    entries = json.loads(path.read_text())
    entries[20:20] = [entry(f"{n}.jpg", "fMoW") for n in range(40)]
    path.write_text(json.dumps(entries))
    table = load_table(folder)
    assert table is not None and len(table.rows) == 60


def load_table(folder: Path, limit: int | None = None, **changes: Any) -> ColumnTable | None:
    source, recipe = open_source(load_manifest("millionaid").model_copy(update=changes), folder), load_recipe("merge")
    assert fits(source, recipe.recipe)
    return read_table(source, recipe.recipe, limit)


def test_of_a_limited_source_what_follows_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vhm_json, "ROWS_AT_ONCE", 20)
    source, seen = open_source(load_manifest("millionaid"), millionaid(tmp_path, 100)), []

    def read_columns() -> Iterator[SourceColumns]:
        for batch in source.columns():
            seen.append(len(batch.texts))
            yield batch

    table = read_table(replace(source, columns=read_columns), load_recipe("merge").recipe, 25)
    assert table is not None and len(table.rows) == 25
    assert seen == [20, 20]


def test_texts_are_long_or_short_by_their_format_and_not_by_their_file(tmp_path: Path) -> None:
    folder = millionaid(tmp_path, 30)
    (folder / "rs3_dump.csv").write_text((folder / "rs3_dump.csv").read_text().replace("millionaid_", "MillionAID/"))
    manifest = load_manifest("millionaid")
    files = manifest.files.model_copy(update={"annotations": ("rs3*.csv",)})
    assert manifest.join is not None
    of_long = {"format": "vhm_json", "annotations": manifest.files.annotations, "options": {}}
    join = manifest.join.model_copy(update=of_long)
    assert load_table(folder, format="rs5m", files=files, join=join, options={}) is None
    assert load_table(folder, join=join) is None


def test_a_list_that_leads_nowhere_is_said_in_a_line(tmp_path: Path) -> None:
    path = millionaid(tmp_path / "data", 5) / "rs3_dump.csv"
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"rs3_dump.csv: cannot be read: No such file"):
        merge(tmp_path / "data", tmp_path / "out")


def test_more_text_than_an_array_holds_is_read_by_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def overflow(*arguments: Any) -> None:
        raise pa.ArrowCapacityError("array cannot contain more than 2147483646 bytes")

    monkeypatch.setattr("lrs2m_builder.columns.table.measure_texts", overflow)
    assert merge(millionaid(tmp_path / "data", 20), tmp_path / "out").records == 20


def test_a_build_begun_by_the_column_goes_on_by_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, out = write_source(tmp_path / "data"), tmp_path / "out"
    merge(folder, out, shard_size=10)
    whole = file_bytes(out)
    for path in list(out.rglob("data/*/train-0000[35].parquet")):
        path.unlink()
    by_the_row(monkeypatch)
    merge(folder, out, shard_size=10)
    assert file_bytes(out) == whole
    assert merge(folder, out, shard_size=10, retry_rejected=True).samples == 60 + len(ODD) + 3


def test_a_merge_by_the_column_that_is_killed_goes_on(tmp_path: Path) -> None:
    folder, out = millionaid(tmp_path, 3000), tmp_path / "out"
    command = [sys.executable, "-m", "lrs2m_builder.cli", "build", "--recipe", "merge", "--source", "millionaid"]
    command += ["--data-dir", str(folder), "--out", str(out), "--images", "reference", "--shard-size", "5"]
    process = psutil.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    while not list(out.rglob("data/*/train-*.parquet")):
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.wait()
    begun = file_bytes(out)
    assert 0 < len(ids(out)) < 3000
    assert merge(folder, out, shard_size=5).records == 3000
    assert len(set(ids(out))) == 3000
    assert begun.items() <= file_bytes(out).items()


def test_tokens_and_repeats_of_real_texts_are_those_of_tokenizer_and_words(real_data: Path) -> None:
    captions = [caption.encode("utf-8", "replace").decode() for caption in (*TRICKY, *read_captions(real_data))]
    known = measure_texts(pa.array(captions, pa.string()), Vocabulary())
    assert known.plain.mean() > 0.5 and REPETITION.screen
    is_flagged = REPETITION.screen(known)
    assert is_flagged[known.plain].mean() < 0.05
    for number in known.plain.nonzero()[0].tolist():
        caption, answer = captions[number], make_answer(captions[number])
        assert normalise_caption(caption) == caption
        assert (known.num_tokens[number], known.num_words[number]) == (count_tokens(caption), len(answer.words))
        assert MOJIBAKE.find(answer) is None
        assert is_flagged[number] or REPETITION.find(answer) is None
        words = [word.lower() for word in answer.words]
        runs = list(zip(words, words[1:], words[2:], strict=False))
        assert len(runs) - len(set(runs)) <= known.num_repeats[number] <= len(runs) - len(set(runs)) + 3


def make_answer(text: str) -> Answer:
    return Answer(text, text, split_words(text), "stop", count_tokens(text), Sample("", "", "", None))


def test_whatever_repeats_itself_is_looked_at() -> None:
    random = np.random.default_rng(5)
    words = [*"a b c d e f g h i j k l", "the red-roofed", "left/right", "-", "end.", "Yes!", "A.", "x, y", "3.5"]
    texts = []
    for number in range(6000):
        size = int(random.integers(1, 14))
        phrase = " ".join(random.choice(words, size).tolist())
        around = [" ".join(random.choice(words, int(random.integers(0, 12))).tolist()) for _ in range(4)]
        looped = " ".join([phrase] * int(random.integers(1, 7)))
        apart = f"{around[0]}. {phrase}. {around[1]} c. {phrase}. {around[2]} d. {phrase}."
        texts.append(" ".join((f"{around[0]} {looped} {around[1]}" if number % 2 else apart).split()))
    found = np.array([REPETITION.find(make_answer(text)) is not None for text in texts])
    known = measure_texts(pa.array(texts), Vocabulary())
    assert REPETITION.screen and known.plain.mean() > 0.99
    is_flagged = REPETITION.screen(known)
    assert 1000 < found.sum() < 5000
    assert not [text for text, missed in zip(texts, found & ~is_flagged, strict=True) if missed]
    assert (is_flagged & ~found).mean() < 0.3


@pytest.mark.parametrize("text", ["round and round " * 9, "a a a a a a a", "Trees, and trees. " * 4 + "End."])
def test_a_text_that_goes_round_never_passes_the_screen(text: str) -> None:
    text = text.strip()
    assert REPETITION.find(make_answer(text)) and REPETITION.screen
    for others in ([], [PLAIN] * 3, [PLAIN] * 40_000):
        assert REPETITION.screen(measure_texts(pa.array([*others, text, PLAIN]), Vocabulary()))[len(others)]


def test_a_single_odd_letter_makes_a_text_of_any_length_odd() -> None:
    texts = ["tree " * 1_200_000 + "café", "tree"]
    assert measure_texts(pa.array(texts), Vocabulary()).plain.tolist() == [False, True]


def test_a_full_vocabulary_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrs2m_builder.columns.vocabulary.MAX_CACHED_WORDS", 20)
    vocabulary = Vocabulary()
    for number in range(20):
        text = f"{PLAIN} Row {number} has word{number} and left/right-hand_{number}."
        known = measure_texts(pa.array([text, PLAIN]), vocabulary)
        assert known.num_tokens.tolist() == [count_tokens(text), count_tokens(PLAIN)]


@pytest.mark.parametrize(
    "names",
    [
        ["a/P1.jpg", "a/P2.jpg"],
        ["a/P1.JPG", "a/b/P1.jpg", "P1"],
        ["a.b/c.d.tif", "x.", "a b/.hidden.png", ".hidden", "..x.jpg"],
        ["P1.jpg", ".jpg"],
        ["a/P1.jpg", "a/b/P1.jpg"],
        ["P1", "P2.tar.gz"],
    ],
)
def test_keys_by_the_column_are_those_of_names(names: list[str]) -> None:
    assert _keys(pa.chunked_array([names])).to_pylist() == list(map(join_key, names))


@pytest.mark.parametrize(
    "layout", ["{filename}", "images/{filename}", "*/{basename}", "{basename}", "one.jpg", "images/{stem}.png"]
)
def test_images_are_found_alike_one_by_one_and_together(tmp_path: Path, layout: str) -> None:
    for name in (
        "images/a/P1.jpg",
        "images/P2.jpg",
        "a/P1.jpg",
        "P3.JPG",
        "images/P4.tif",
        "b/P5.jpg",
        "c/P5.jpg",
        "one.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    finder = ImageFinder(layout, tmp_path, None)
    names = [
        "a/P1.jpg",
        "P1.jpg",
        "P2.jpg",
        "p3.jpg",
        "P3.jpg",
        "P4.jpg",
        "P5.jpg",
        "b/P5.jpg",
        "/P1.jpg",
        "../P2.jpg",
        "no.jpg",
    ]
    assert finder.find_each(names) == [finder.find(name) is not None for name in names]


@pytest.mark.parametrize("layout", ["{stem}/{basename}", "{stem}/{filename}", "x_{basename}", "{stem}/x_{basename}"])
def test_images_are_found_alike_where_their_names_are_part_of_others(tmp_path: Path, layout: str) -> None:
    for name in ("P1/P1.jpg", "P1/P2.jpg", "P2/P1.jpg", "x_P1.jpg", "P2.jpg", "P1/x_P1.jpg", "P1/x_P2.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    finder, names = ImageFinder(layout, tmp_path, None), ["P1.jpg", "P2.jpg", "P3.jpg", "x_P1.jpg", "x_P2.jpg"]
    assert finder.find_each(names) == [finder.find(name) is not None for name in names]


CSVS = [
    'name,caption\nmillionaid_a.jpg,plain\n\nmillionaid_b.jpg,"a, b"\nben_1.jpg,no\n',
    'caption,extra,name\r\nshort,1,millionaid_a.jpg\r\n"of ""two""\nlines",2,millionaid_b.jpg\r\n',
    'name,caption\nmillionaid_a.jpg,a 5" pipe\nmillionaid_b.jpg,he said "no"\nmillionaid_c.jpg,"quoted" and on\n',
    "\ufeffname,caption\nmillionaid_a.jpg,NULL\nmillionaid_b.jpg,\nmillionaid_c.jpg,nan\nmillionaid_d.jpg, 12 \n",
    'name,caption\nmillionaid_a.jpg,café ’ 中\n"millionaid_b.jpg",""\n',
]


@pytest.mark.parametrize("text", CSVS)
def test_a_csv_by_the_column_has_the_rows_it_has_by_the_row(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rs3.csv"
    path.write_bytes(text.encode())
    by_row = [(row.image_name, row.captions[0]) for row in rs5m.read(path, prefix="millionaid_")]
    assert by_row and columns(rs5m.read_columns(path, prefix="millionaid_")) == by_row


BROKEN_CSVS = {
    "a text over the limit": b"name,caption\na.jpg," + b"a " * 70_000,
    "another text over the limit": b"name,caption,more\na.jpg,hi," + b"a " * 70_000,
    "no UTF-8": b"name,caption\na.jpg,caf\xe9\n",
    "no UTF-8 in another column": b"name,caption,more\na.jpg,hi,caf\xe9\n",
    "no UTF-8 in the header": b"name,caption,caf\xe9\na.jpg,hi,no\n",
    "blank line before the header": b"\nname,caption\na.jpg,hi\n",
    "packed": gzip.compress(b"name,caption\na.jpg,hi\n"),
}


@pytest.mark.parametrize("name", BROKEN_CSVS)
def test_a_csv_that_is_broken_by_the_row_is_not_read_by_the_column(tmp_path: Path, name: str) -> None:
    path = tmp_path / ("rs3.csv.gz" if name == "packed" else "rs3.csv")
    path.write_bytes(BROKEN_CSVS[name])
    with pytest.raises(UserError) as by_row:
        list(rs5m.read(path))
    with pytest.raises((NotColumnarError, UserError)) as by_column:
        list(rs5m.read_columns(path))
    assert isinstance(by_column.value, NotColumnarError) or str(by_column.value) == str(by_row.value)


def test_metadata_are_told_by_the_letters_that_python_takes_for_others(tmp_path: Path) -> None:
    path = tmp_path / "rs3.csv"
    path.write_text("name,caption\na.jpg,The az\u0131muth is 3. A road.\nb.jpg,A caf\u00e9.\n")
    assert columns(rs5m.read_columns(path)) == [("a.jpg", "A road."), ("b.jpg", "A caf\u00e9.")]


def columns(batches: Any) -> list[tuple[str, str]]:
    return [pair for each in batches for pair in zip(each.image_names.to_pylist(), each.texts.to_pylist(), strict=True)]


def test_metadata_are_cut_off_by_the_column_too(real_data: Path) -> None:
    path = real_data / "rs5m" / "rs3_dump.csv"
    found = columns(rs5m.read_columns(path))
    assert found == [(row.image_name, row.captions[0]) for row in rs5m.read(path)]
    assert not any(METADATA.search(caption) for name, caption in found if not name.startswith("millionaid"))
    kept = columns(rs5m.read_columns(path, metadata="keep"))
    assert kept == [(row.image_name, row.captions[0]) for row in rs5m.read(path, metadata="keep")]


def vhm(path: Path, entries: Any) -> Path:
    path.write_text(entries if isinstance(entries, str) else json.dumps(entries))
    return path


def test_a_list_by_the_column_has_the_entries_it_has_by_the_row(tmp_path: Path) -> None:
    turn = {"from": "gpt", "value": "a second answer"}
    entries = [
        entry(f"P{n}.jpg", ("MillionAID", "million-aid", "fMoW")[n % 3], f'text {n} "q" \\ ü 🚢') for n in range(9)
    ]
    entries[1]["conversations"].append(turn)
    entries[3]["conversations"].insert(0, turn)
    entries[4]["conversations"] = [{"from": "human", "value": "no answer"}]
    entries[6]["conversations"] = []
    entries[7]["more"] = {"nested": [1, None]}
    entries[8]["conversations"].insert(0, {"from": None, "value": "nobody"})
    path = vhm(tmp_path / "list.json", entries)
    for wanted in ((), ("MillionAID",), ("fmow", "nothing")):
        by_row = [(row.image_name, row.caption_long) for row in vhm_json.read(path, wanted)]
        assert columns(vhm_json.read_columns(path, wanted)) == by_row


@pytest.mark.parametrize("folder", ["all[12]", "all*", "source_dataset=fMoW"])
def test_a_list_is_read_from_a_folder_of_any_name(tmp_path: Path, folder: str) -> None:
    for name in ("all1", "all2", folder):
        (tmp_path / name).mkdir()
        vhm(tmp_path / name / "list.json", [entry(f"{name}.jpg", "MillionAID", "a text")])
    path = tmp_path / folder / "list.json"
    assert columns(vhm_json.read_columns(path)) == [(f"MillionAID/{folder}.jpg", "a text")]


GOOD = entry("P1.jpg", "MillionAID", "a text")
ODD_LISTS = {
    "number as image": [GOOD, {**GOOD, "image": 5}],
    "no image": [GOOD, {**GOOD, "image": ""}],
    "no data set": [GOOD, {key: value for key, value in GOOD.items() if key != "source_dataset"}],
    "empty data set": [{**GOOD, "source_dataset": ""}],
    "no turns": [GOOD, {**GOOD, "conversations": None}],
    "turn is text": [GOOD, {**GOOD, "conversations": ["hello"]}],
    "number as text": [GOOD, entry("P2.jpg", "MillionAID", 12.5)],  # type: ignore[arg-type]
    "truth as text": [GOOD, entry("P2.jpg", "MillionAID", True)],  # type: ignore[arg-type]
    "object as text": [GOOD, entry("P2.jpg", "MillionAID", {"a": 1})],  # type: ignore[arg-type]
    "entry is text": [GOOD, "hello"],
    "an object": {"image": "P1.jpg"},
    "cut off": json.dumps([GOOD, GOOD])[:-9],
    "cut off between entries": json.dumps([GOOD, GOOD]).rpartition("{")[0].rpartition("{")[0].rpartition("{")[0],
    "no text": "",
    "two lists": json.dumps([GOOD]) * 2,
    "letters before the list": 'é[{"image": "P1.jpg"}{"image": 5}]',
    "half a pair": json.dumps([GOOD]).replace("a text", "\\ud83d"),
}


@pytest.mark.parametrize("name", ODD_LISTS)
def test_an_odd_list_is_left_to_the_reader_by_the_row(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotColumnarError):
        list(vhm_json.read_columns(vhm(tmp_path / "list.json", ODD_LISTS[name])))


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("list_pretrain.json", '[{"image": 1}]', "entry 0"),
        ("list_pretrain.json", "[{", "near byte"),
        ("rs3_dump.csv", "name,text\na,b\n", "no columns name and caption"),
        ("rs3_dump.csv", "name,caption\nmillionaid_P0000001.jpg\n", "line 2"),
        ("rs3_dump.csv", "name,caption\nben_1.jpg,text\n", "no name begins with 'millionaid_'"),
    ],
)
def test_a_broken_file_is_said_as_by_the_row(tmp_path: Path, file: str, text: str, said: str) -> None:
    folder = millionaid(tmp_path / "data", 20)
    (folder / file).write_text(text)
    with pytest.raises(UserError, match=said):
        merge(folder, tmp_path / "out")
