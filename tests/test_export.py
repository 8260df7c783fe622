"""`lrs2m export`: the rows that are wanted, in forms that other programs read."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lrs2m_builder.errors import UserError
from lrs2m_builder.export import ExportReport, export
from lrs2m_builder.exports import formats, load_format
from lrs2m_builder.exports.base import Options
from lrs2m_builder.selection import Filters, read_rows, select
from lrs2m_builder.shards import RECORD_SCHEMA
from tests.toy import ROOT, build_toy, ids, make_source, rows


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of 30 images with two captions each, in six shards."""
    folder = tmp_path_factory.mktemp("export")
    build_toy(make_source(folder / "data", 30, captions=2), folder / "out")
    return folder / "out"


def write_rows(path: Path, rows: list[dict[str, Any]], row_group_size: int = 7) -> None:
    """A Parquet file of records; what a row does not say is null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=RECORD_SCHEMA), path, row_group_size=row_group_size)


def png(color: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 3), color).save(file, "PNG")
    return file.getvalue()


def row(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "sample_id": f"a/{number}",
        "subset": "a",
        "image": {"bytes": png((number, 0, 0)), "path": f"{number}.png"},
        "caption_short": f"short {number}",
        "caption_long": f"a long text of number {number}",
        "num_tokens_long": number,
        "num_tokens_short": 4,
    } | changes


def run(data: Path, to: str, dest: Path, **options: Any) -> ExportReport:
    filters = options.pop("filters", Filters())
    images = options.pop("images", None)
    return export(data, to, dest, filters, Options(**options), images)


def records(dest: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((dest / "records.json").read_text())
    return found


def exported_ids(data: Path, dest: Path, **filters: Any) -> list[str]:
    run(data, "json", dest, images="reference", filters=Filters(**filters))
    return [record["sample_id"] for record in records(dest)]


def test_json_holds_every_row_in_order_with_both_texts(built: Path, tmp_path: Path) -> None:
    report = run(built, "json", tmp_path / "dest")
    expected = [(r["sample_id"], r["caption_short"], r["caption_long"]) for r in rows(built)]
    assert [(r["sample_id"], r["caption_short"], r["caption_long"]) for r in records(tmp_path / "dest")] == expected
    assert report.rows == report.of == len(expected) > 50


def test_a_copied_image_has_the_bytes_of_its_row_and_is_there_once(built: Path, tmp_path: Path) -> None:
    run(built, "json", tmp_path / "dest")
    for record in records(tmp_path / "dest"):
        data = (tmp_path / "dest" / record["image"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == record["image_sha256"]
    hashes = {r["image_sha256"] for r in rows(built)}
    assert len(list((tmp_path / "dest" / "images").rglob("*.*"))) == len(hashes) < len(rows(built))


def test_images_can_be_embedded_in_json_lines(built: Path, tmp_path: Path) -> None:
    run(built, "json", tmp_path / "dest", images="embed", lines=True)
    lines = (tmp_path / "dest" / "records.jsonl").read_text().splitlines()
    assert [json.loads(line)["sample_id"] for line in lines] == ids(built)
    assert base64.b64decode(json.loads(lines[0])["image_base64"]) == rows(built)[0]["image"]["bytes"]


def test_webdataset_reads_its_tars_back(built: Path, tmp_path: Path) -> None:
    import webdataset

    run(built, "webdataset", tmp_path / "dest")
    urls = sorted(str(path) for path in (tmp_path / "dest").glob("*.tar"))
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode("pil"))
    assert [sample["json"]["sample_id"] for sample in samples] == ids(built)
    for sample, original in zip(samples, rows(built), strict=True):
        assert sample["long.txt"] == original["caption_long"]
        assert sample["short.txt"] == original["caption_short"]
        assert sample["jpg"].size == (original["width"], original["height"])


def test_one_text_of_webdataset_is_where_open_clip_looks_for_it(built: Path, tmp_path: Path) -> None:
    import webdataset

    run(built, "webdataset", tmp_path / "dest", text="short")
    sample = next(iter(webdataset.WebDataset(str(tmp_path / "dest" / "train-00000.tar"), shardshuffle=False).decode()))
    assert sample["txt"] == rows(built)[0]["caption_short"]
    assert "caption_long" not in sample["json"]


def test_tars_keep_to_their_size_and_lose_no_sample(built: Path, tmp_path: Path) -> None:
    import webdataset

    run(built, "webdataset", tmp_path / "dest", max_bytes=40_000)
    tars = sorted((tmp_path / "dest").glob("*.tar"))
    assert len(tars) > 3
    assert all(tar.stat().st_size <= 40_000 for tar in tars)
    samples = list(webdataset.WebDataset([str(tar) for tar in tars], shardshuffle=False).decode())
    assert [sample["json"]["sample_id"] for sample in samples] == ids(built)


def test_open_clip_trains_from_the_csv(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = pytest.importorskip("open_clip_train.data")
    run(built, "csv", tmp_path / "dest", text="long")
    monkeypatch.chdir(tmp_path / "dest")
    texts: list[str] = []

    def tokenize(batch: list[str]) -> list[str]:
        texts.extend(batch)
        return batch

    table = data.CsvDataset("train.csv", lambda image: image.size, "filepath", "title", "\t", tokenize)
    sizes = [table[index][0] for index in range(len(table))]
    assert texts == [r["caption_long"] for r in rows(built)]
    assert sizes == [(r["width"], r["height"]) for r in rows(built)]


def test_csv_has_a_line_for_each_text_however_odd_it_is(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    odd = 'a "quoted" text,\twith a tab\nand a line, ship\'s'
    write_rows(tmp_path / "in" / "a.parquet", [row(1, caption_long=odd), row(2, caption_short="")])
    run(tmp_path / "in", "csv", tmp_path / "dest")
    table = pandas.read_csv(tmp_path / "dest" / "train.csv", sep="\t")
    assert list(table["text"]) == ["long", "short", "long"]
    assert table["title"][0] == " ".join(odd.split())


def test_mgrs_goes_back_through_its_reader(built: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("lrs2m_builder.sources.mgrs_json") is None:
        pytest.skip("no reader of this format")
    read = importlib.import_module("lrs2m_builder.sources.mgrs_json").read
    run(built, "mgrs", tmp_path / "dest")
    back = list(read(tmp_path / "dest" / "text_info.json"))
    assert [(r.captions, r.caption_long) for r in back] == [
        ((r["caption_short"],), r["caption_long"]) for r in rows(built)
    ]
    assert all((tmp_path / "dest" / r.image_name).is_file() for r in back)


def test_mgrs_entries_have_the_keys_of_that_data_set(built: Path, tmp_path: Path) -> None:
    run(built, "mgrs", tmp_path / "dest", images="reference", image_prefix="/data/toy/")
    first = json.loads((tmp_path / "dest" / "text_info.json").read_text())[0]
    original = rows(built)[0]
    assert first == {
        "global_filepath": f"/data/toy/{original['image']['path']}",
        "detailed_caption": original["caption_long"],
        "brief_caption": original["caption_short"],
        "segment": [],
    }


def test_only_the_wanted_subset_is_written(tmp_path: Path) -> None:
    write_rows(tmp_path / "in" / "a.parquet", [row(1), row(2, subset="b", sample_id="b/2"), row(3)])
    assert exported_ids(tmp_path / "in", tmp_path / "dest", subsets=("a",)) == ["a/1", "a/3"]


def test_an_unknown_subset_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    write_rows(tmp_path / "in" / "a.parquet", [row(1), row(2, subset="b")])
    with pytest.raises(UserError, match="no subset 'c'; it has a, b"):
        exported_ids(tmp_path / "in", tmp_path / "dest", subsets=("c",))


def review(data: Path, *verdicts: tuple[int, str]) -> None:
    lines = [json.dumps({"sample_id": f"a/{n}", "verdict": v, "note": "", "time": ""}) for n, v in verdicts]
    (data / "reviews.jsonl").write_text("\n".join([*lines, '{"sample_id": "a/4", "verd']))


def test_the_last_verdict_on_a_row_counts(tmp_path: Path) -> None:
    data = tmp_path / "in"
    write_rows(data / "a.parquet", [row(number) for number in range(5)])
    review(data, (0, "accept"), (1, "flag"), (2, "flag"), (2, "accept"), (0, "flag"))
    assert exported_ids(data, tmp_path / "1", reviewed="accept") == ["a/2"]
    assert exported_ids(data, tmp_path / "2", reviewed="not-flagged") == ["a/2", "a/3", "a/4"]


def test_what_the_audit_would_remove_is_left_out(tmp_path: Path) -> None:
    data = tmp_path / "in"
    write_rows(data / "data" / "a" / "a.parquet", [row(number) for number in range(5)])
    (data / "audit").mkdir()
    removals = {"sample_id": ["a/1", "a/4"], "reason": ["leak", "duplicate"], "detail": ["", ""]}
    pq.write_table(pa.table(removals), data / "audit" / "removals.parquet")
    assert exported_ids(data, tmp_path / "dest", without_audit=True) == ["a/0", "a/2", "a/3"]


@pytest.mark.parametrize("filters", [{"reviewed": "accept"}, {"without_audit": True}])
def test_a_filter_whose_file_is_missing_says_how_to_make_it(tmp_path: Path, filters: dict[str, Any]) -> None:
    write_rows(tmp_path / "in" / "a.parquet", [row(1)])
    with pytest.raises(UserError, match=r"lrs2m (view|audit) "):
        select(tmp_path / "in", Filters(**filters))


def test_a_condition_picks_rows_across_row_groups_and_files(tmp_path: Path) -> None:
    data = tmp_path / "in"
    write_rows(data / "b.parquet", [row(number) for number in range(300, 310)], row_group_size=3)
    write_rows(data / "a.parquet", [row(number) for number in range(300)], row_group_size=130)
    found = [r["sample_id"] for r in read_rows(select(data, Filters(where="num_tokens_long % 7 = 2 AND subset = 'a'")))]
    assert found == [f"a/{number}" for number in range(310) if number % 7 == 2]


@pytest.mark.parametrize(
    "condition",
    ["nope > 1", "", "true) --", "true; DROP TABLE x", "subset = 'a", "caption_long", "1, 2", "true LIMIT 1"],
)
def test_a_bad_condition_is_one_line(tmp_path: Path, condition: str) -> None:
    write_rows(tmp_path / "in" / "a.parquet", [row(1)])
    with pytest.raises(UserError, match="--where") as caught:
        select(tmp_path / "in", Filters(where=condition))
    assert "\n" not in str(caught.value)


def test_no_row_left_is_said(tmp_path: Path) -> None:
    write_rows(tmp_path / "in" / "a.parquet", [row(1)])
    with pytest.raises(UserError, match="none of its 1 rows"):
        run(tmp_path / "in", "json", tmp_path / "dest", filters=Filters(where="num_tokens_long > 5"))
    assert list(tmp_path.iterdir()) == [tmp_path / "in"]


def test_nothing_is_written_over(built: Path, tmp_path: Path) -> None:
    (tmp_path / "dest").mkdir()
    (tmp_path / "dest" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is there already"):
        run(built, "json", tmp_path / "dest")
    assert [path.name for path in (tmp_path / "dest").iterdir()] == ["mine.txt"]


def test_an_export_that_fails_leaves_nothing(tmp_path: Path) -> None:
    write_rows(tmp_path / "in" / "a.parquet", [row(1), row(2, image={"bytes": None, "path": "2.png"})])
    with pytest.raises(UserError, match="a/2: the data hold no image; export with --images reference"):
        run(tmp_path / "in", "csv", tmp_path / "dest")
    assert list(tmp_path.iterdir()) == [tmp_path / "in"]


@pytest.mark.parametrize("to", formats())
def test_the_same_rows_give_the_same_bytes(built: Path, tmp_path: Path, to: str) -> None:
    written = []
    for name in ("1", "2"):
        run(built, to, tmp_path / name)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        written.append({str(path.relative_to(tmp_path / name)): path.read_bytes() for path in files})
        time.sleep(1.1 if to == "webdataset" else 0)  # a tar would hold the second of its writing
    assert written[0] == written[1]


def test_two_images_of_one_name_both_stay(tmp_path: Path) -> None:
    same = {"path": "x.png"}
    images = [{**same, "bytes": png((n, 0, 0))} for n in (1, 2, 1)]
    write_rows(tmp_path / "in" / "a.parquet", [row(n, image=image) for n, image in enumerate(images)])
    run(tmp_path / "in", "json", tmp_path / "dest")
    found = [(tmp_path / "dest" / record["image"]).read_bytes() for record in records(tmp_path / "dest")]
    assert found == [image["bytes"] for image in images]


def test_an_image_never_leaves_the_folder(tmp_path: Path) -> None:
    names = ("../../up.png", "/etc/root.png", "..\\back.png", "..", "")
    odd = [row(n, image={"bytes": png((n, 0, 0)), "path": name}) for n, name in enumerate(names)]
    write_rows(tmp_path / "in" / "a.parquet", odd)
    run(tmp_path / "in", "json", tmp_path / "deep" / "dest")
    images = (tmp_path / "deep" / "dest" / "images" / "a").resolve()
    paths = {(tmp_path / "deep" / "dest" / r["image"]).resolve() for r in records(tmp_path / "deep" / "dest")}
    assert len(paths) == len(names)
    assert all(path.is_file() and images in path.parents for path in paths)


@pytest.mark.parametrize("to", formats())
def test_every_format_refuses_what_it_cannot_do_with_images(tmp_path: Path, to: str) -> None:
    write_rows(tmp_path / "in" / "a.parquet", [row(1)])
    for images in {"embed", "copy", "reference"} - set(load_format(to).IMAGES):
        with pytest.raises(UserError, match=f"--images {images}: {to} can "):
            run(tmp_path / "in", to, tmp_path / "dest", images=images)


def test_an_unknown_format_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="known: csv, json, mgrs, webdataset"):
        run(tmp_path, "yaml", tmp_path / "dest")


def test_images_are_not_read_where_they_are_only_named(tmp_path: Path) -> None:
    """A broken column of images does no harm to an export that names them."""
    path = tmp_path / "in" / "a.parquet"
    write_rows(path, [row(1)])
    group = pq.read_metadata(path).row_group(0)
    chunk = next(c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == "image.bytes")
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read"):
        run(tmp_path / "in", "json", tmp_path / "dest")
    assert exported_ids(tmp_path / "in", tmp_path / "dest") == ["a/1"]


def test_lines_are_refused_where_a_format_has_none(built: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--lines: mgrs has no lines"):
        export(built, "mgrs", tmp_path / "dest", Filters(), Options(lines=True))


def test_a_full_disk_is_one_line(built: Path, tmp_path: Path) -> None:
    limited = "import resource, signal, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); "
    limited += "from lrs2m_builder.cli import main; main()"
    command = [sys.executable, "-c", limited, "export", str(built), str(tmp_path / "dest"), "--to", "webdataset"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    write_rows(tmp_path / "in" / "a.parquet", [row(n % 250, sample_id=f"a/{n}") for n in range(40_000)], 1000)
    command = [sys.executable, "-m", "lrs2m_builder.cli", "export", str(tmp_path / "in"), str(tmp_path / "dest")]
    process = subprocess.Popen([*command, "--to", "webdataset"], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".dest.part/*.tar")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert list(tmp_path.iterdir()) == [tmp_path / "in"]


def test_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    """Rows of 200 MB of images are exported in far less."""
    noise = [os.urandom(1_000_000) for _ in range(4)]
    many = [row(n, image={"bytes": noise[n % 4] + bytes([n]), "path": f"{n}.png"}) for n in range(200)]
    write_rows(tmp_path / "in" / "a.parquet", many, 5)
    code = "import resource; from lrs2m_builder.cli import app; "
    code += "app(standalone_mode=False); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    peaks = []
    for where in ("num_tokens_long < 1", "true"):
        dest = tmp_path / f"dest{len(peaks)}"
        command = [sys.executable, "-c", code, "export", str(tmp_path / "in"), str(dest), "--to", "webdataset"]
        result = subprocess.run(
            [*command, "--where", where], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
        )
        peaks.append(int(result.stdout.split()[-1]))
    assert peaks[1] - peaks[0] < 100_000  # KiB
