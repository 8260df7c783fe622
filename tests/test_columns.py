"""Sources read by the column: the same shards as by the row, to the byte, and by the row where columns do not do."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest

from lrs2m_builder import prepare
from lrs2m_builder.build import Report, build
from lrs2m_builder.columns.table import ColumnTable, fits, read_table
from lrs2m_builder.errors import UserError
from lrs2m_builder.manifest import load_manifest
from lrs2m_builder.options import BuildOptions
from lrs2m_builder.recipe import load_recipe
from lrs2m_builder.sources import open_source, vhm_json
from lrs2m_builder.sources.base import SourceColumns
from tests.fake_engine import FakeModule
from tests.test_long_to_short import entry, write_vhm
from tests.test_merge import millionaid, write_rs5m
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
    assert found["odd_9.jpg"]["warnings"] == ["repetition: The answer repeated itself. Say each thing once."]
    assert found["odd_10.jpg"]["warnings"][0].startswith("clip_budget: ")


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
    assert fits(source, recipe)
    return read_table(source, recipe, limit)


def test_of_a_limited_source_what_follows_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vhm_json, "ROWS_AT_ONCE", 20)
    source, seen = open_source(load_manifest("millionaid"), millionaid(tmp_path, 100)), []

    def read_columns() -> Iterator[SourceColumns]:
        for batch in source.columns():
            seen.append(len(batch.texts))
            yield batch

    table = read_table(replace(source, columns=read_columns), load_recipe("merge"), 25)
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
