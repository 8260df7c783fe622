"""`lrs2m export`: rows in forms that other programs read."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lrs2m_builder.dataset.export import formats
from lrs2m_builder.errors import UserError
from tests.export_data import exported_ids, png, records, row, run, write_rows
from tests.place_data import place_row, square, write_places
from tests.toy import build_toy, ids, make_source, rows


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of 30 images with two captions each, in six shards."""
    folder = tmp_path_factory.mktemp("export")
    build_toy(make_source(folder / "data", 30, captions=2), folder / "out")
    return folder / "out"


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


@pytest.mark.parametrize("to", formats())
def test_the_same_rows_give_the_same_bytes(built: Path, tmp_path: Path, to: str) -> None:
    written = []
    if to in {"geoparquet", "stac"}:
        built = write_places(tmp_path / "in", [place_row(number, square(7 + number / 100, 50)) for number in range(9)])
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
