"""`lrs2m audit` on drawn images and on real ones."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw

from lrs2m_builder.build.stored_rows import RECORD_SCHEMA
from lrs2m_builder.cli import main
from lrs2m_builder.commands.audit import audit_lines
from lrs2m_builder.dataset.audit.captions import caption_repeats
from lrs2m_builder.dataset.audit.consistency import caption_checks
from lrs2m_builder.dataset.audit.findings import Audit
from lrs2m_builder.dataset.audit.hashes import hash_thumbnails
from lrs2m_builder.dataset.audit.pairs import MAX_ALIKE, MAX_DISTANCE, candidates
from lrs2m_builder.dataset.audit.run import audit
from lrs2m_builder.dataset.audit.thumbnails import thumbnail
from lrs2m_builder.errors import UserError
from lrs2m_builder.schema import ImageBytes
from tests.test_resume import small_disk

Turn = Image.Transpose
COPIES: dict[str, Callable[[Image.Image], bytes]] = {
    "quality": lambda image: encode(image, 50),
    "resized": lambda image: encode(image.resize((round(image.width * 0.6), round(image.height * 0.6)))),
    "rotated": lambda image: encode(image.transpose(Turn.ROTATE_90)),
    "flipped": lambda image: encode(image.transpose(Turn.FLIP_LEFT_RIGHT)),
}


def encode(image: Image.Image, quality: int = 90) -> bytes:
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def draw(seed: int, size: int = 200) -> Image.Image:
    """Fields, a road and houses, as seen from above."""
    chance = random.Random(seed)
    image = Image.new("RGB", (size, size), (90, 110, 70))
    pen = ImageDraw.Draw(image)
    for _ in range(25):
        x, y, w, h = (chance.randrange(size), chance.randrange(size), chance.randrange(8, 70), chance.randrange(8, 70))
        pen.rectangle((x, y, x + w, y + h), fill=tuple(chance.randrange(20, 240) for _ in range(3)))
    pen.line([(chance.randrange(size), 0), (chance.randrange(size), size)], fill=(210, 210, 205), width=7)
    return image


def record(sample_id: str, image: bytes, short: str = "A field.", long: str = "", **columns: Any) -> dict[str, Any]:
    subset, name = sample_id.split("#")[0].split("/")
    empty = {"anchors": [], "warnings": [], "caption_short": short, "caption_long": long or f"{short} It is {name}."}
    return {"sample_id": sample_id, "subset": subset, "image": {"bytes": image, "path": name}, **empty, **columns}


def write(folder: Path, records: Sequence[dict[str, Any]]) -> Path:
    for subset in {row["subset"] for row in records}:
        path = folder / "data" / subset / "train-00000.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        mine = [row for row in records if row["subset"] == subset]
        pq.write_table(pa.Table.from_pylist(mine, schema=RECORD_SCHEMA), path, row_group_size=7)
    return folder


def found(result: Audit, kind: str) -> set[tuple[str, str]]:
    return {(pair.image, pair.of) for pair in result.pairs if pair.kind == kind}


def removals(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(folder / "audit" / "removals.parquet").to_pylist()
    return rows


@pytest.mark.parametrize("turn", [None, *Turn])
def test_an_image_and_its_turns_share_a_hash(turn: Image.Transpose | None) -> None:
    image = draw(3)
    other = image if turn is None else image.transpose(turn)
    hashes = hash_thumbnails(np.stack([thumbnail(ImageBytes(encode(image))), thumbnail(ImageBytes(encode(other)))]))
    first, second = (hashes.values[hashes.owners == owner] for owner in (0, 1))
    assert np.bitwise_count(first[:, None] ^ second).min() <= 4


def test_copies_are_found_and_different_images_are_not(tmp_path: Path) -> None:
    records = [record(f"a/{n}.jpg", encode(draw(n))) for n in range(40)]
    records += [record(f"b/{kind}{n}.jpg", make(draw(n))) for n in range(10) for kind, make in COPIES.items()]
    result = audit(write(tmp_path, records))
    assert found(result, "near_duplicate") == {(f"b/{kind}{n}.jpg", f"a/{n}.jpg") for n in range(10) for kind in COPIES}
    assert not found(result, "duplicate")


def test_the_rows_of_one_image_are_no_duplicates_and_are_removed_together(tmp_path: Path) -> None:
    image = encode(draw(1))
    records = [record(f"a/x.jpg#{n}", image) for n in range(5)] + [record(f"b/y.jpg#{n}", image) for n in range(5)]
    result = audit(write(tmp_path, records))
    assert found(result, "duplicate") == {("b/y.jpg", "a/x.jpg")}
    assert [row["sample_id"] for row in removals(tmp_path)] == [f"b/y.jpg#{n}" for n in range(5)]
    assert {row["detail"] for row in removals(tmp_path)} == {"same bytes as a/x.jpg"}


def test_what_is_kept_does_not_depend_on_the_order_of_the_files(tmp_path: Path) -> None:
    records = [record(f"a/{n % 4}{n}.jpg", encode(draw(n % 4), 60 + n)) for n in range(12)]
    results = [audit(write(tmp_path / name, rows)) for name, rows in (("1", records), ("2", records[::-1]))]
    assert results[0].pairs and found(results[0], "near_duplicate") == found(results[1], "near_duplicate")


def test_images_of_one_colour_are_compared_by_their_bytes_alone(tmp_path: Path) -> None:
    blue, other = (Image.new("RGB", (64, 64), (shade,) * 3) for shade in (100, 140))
    records = [record("a/1.jpg", encode(blue)), record("a/2.jpg", encode(other)), record("a/3.jpg", encode(blue))]
    result = audit(write(tmp_path, records))
    assert (found(result, "duplicate"), found(result, "near_duplicate")) == ({("a/3.jpg", "a/1.jpg")}, set())
    assert result.flat_images == 2


def test_an_unreadable_image_is_counted_and_the_rest_is_audited(tmp_path: Path) -> None:
    records = [record("a/1.jpg", b"no image"), record("a/2.jpg", encode(draw(1))), record("a/3.jpg", b"")]
    result = audit(write(tmp_path, records))
    assert (result.unreadable, result.without_image, result.flat_images) == ({"image_unreadable": 1}, 1, 0)


@pytest.mark.parametrize("kind", ["folder", "karpathy", "coco", "parquet"])
def test_leaks_are_found_against_every_kind_of_evaluation_data(tmp_path: Path, kind: str) -> None:
    data = write(tmp_path / "set", [record(f"a/field_{n}.jpg", encode(draw(n))) for n in range(6)])
    images = {"x.jpg": encode(draw(1)), "y.jpg": encode(draw(2).transpose(Turn.ROTATE_180), 50), "field_3.png": b""}
    against = tmp_path / "eval"
    if kind == "parquet":
        write(against, [record(f"e/{name}", image) for name, image in images.items()])
    else:
        (against / "imgs").mkdir(parents=True)
        for name, image in images.items():
            (against / "imgs" / name).write_bytes(image)
    if kind in {"karpathy", "coco"}:
        entries = [{"filename" if kind == "karpathy" else "file_name": name} for name in images]
        against = against / "dataset.json"
        against.write_text(json.dumps({"images": entries}))
    result = audit(data, [against])
    assert [pair.image for pair in result.pairs if pair.kind == "leak"] == ["a/field_1.jpg"]
    assert [pair.image for pair in result.pairs if pair.kind == "near_leak"] == ["a/field_2.jpg"]
    assert [match.image for match in result.names] == ["a/field_3.jpg"]
    assert {row["reason"] for row in removals(data)} == {"leak", "near_leak"}


def test_same_names_are_removed_only_where_asked(tmp_path: Path) -> None:
    data = write(tmp_path / "set", [record("a/airport_1.jpg", encode(draw(1))), record("a/7.jpg", encode(draw(2)))])
    names = tmp_path / "list.json"
    names.write_text(json.dumps({"images": [{"filename": "airport_1.tif"}, {"filename": "7.tif"}]}))
    audit(data, [names])
    assert removals(data) == []
    audit(data, [names], remove_same_names=True)
    assert [(row["sample_id"], row["reason"]) for row in removals(data)] == [("a/airport_1.jpg", "same_name")]


def test_the_data_set_is_left_as_it_is_and_can_be_audited_again(tmp_path: Path) -> None:
    flat = tmp_path / "set"
    flat.mkdir()
    rows = [record("a/1.jpg", encode(draw(1)))]
    pq.write_table(pa.Table.from_pylist(rows, schema=RECORD_SCHEMA), flat / "some.parquet")
    before = (flat / "some.parquet").read_bytes()
    assert audit(flat).records == audit(flat).records == 1
    written = {path.name for path in (flat / "audit").iterdir() if not path.name.startswith(".")}
    assert written == {"audit.json", "removals.parquet", "report.html"}
    assert (flat / "some.parquet").read_bytes() == before


def test_near_hashes_meet_and_far_ones_do_not() -> None:
    chance = np.random.default_rng(0)
    values = chance.integers(0, 2**60, 5000, dtype=np.uint64)
    flips = np.array([chance.choice(60, 4, replace=False) for _ in range(500)])
    near = values[:500] ^ np.bitwise_or.reduce(np.uint64(1) << flips.astype(np.uint64), axis=1)
    every = np.concatenate([values, near])
    pairs = {(min(a, b), max(a, b)) for x, y in candidates(every) for a, b in zip(x.tolist(), y.tolist(), strict=True)}
    assert {(n, 5000 + n) for n in range(500)} <= pairs
    assert all(int(np.bitwise_count(every[a] ^ every[b])) <= MAX_DISTANCE for a, b in pairs)


def test_a_crowd_of_one_hash_makes_few_pairs() -> None:
    pairs = sum(len(first) for first, _ in candidates(np.full(20_000, 5, np.uint64)))
    assert pairs < 20_000 * MAX_ALIKE * 2


def test_repeated_and_nearly_repeated_captions_are_grouped(tmp_path: Path) -> None:
    texts = ["A plane is parked.", "a plane is PARKED", "Two ships lie in the harbour beside a long grey pier today."]
    texts += ["Two ships lie in the harbour beside a long grey pier now.", "Nothing like the others, a lake.", ""]
    path = tmp_path / "x.parquet"
    table = {"sample_id": [str(n) for n in range(len(texts))], "caption_short": texts}
    pq.write_table(pa.table(table), path, row_group_size=2)
    repeats = caption_repeats([path], "caption_short")
    assert (repeats.rows, repeats.distinct, repeats.repeated_texts, repeats.repeated_rows) == (6, 5, 1, 2)
    assert (repeats.near_groups, repeats.near_rows) == (1, 2)
    assert repeats.most_repeated[0].examples == (("0", texts[0]),)
    assert [sample_id for sample_id, _ in repeats.largest_near[0].examples] == ["2", "3"]


def test_distinct_captions_are_those_that_python_counts(real_data: Path, tmp_path: Path) -> None:
    import re

    images = json.loads((real_data / "ucm_captions" / "dataset_ucm.json").read_text())["images"]
    texts = [sentence["raw"] for image in images for sentence in image["sentences"]]
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"sample_id": [str(n) for n in range(len(texts))], "caption_short": texts}), path)
    words = {tuple(re.findall(r"[a-z0-9]+|[^\x00-\x7f]+", text.lower())) for text in texts}
    assert caption_repeats([path], "caption_short").distinct == len(words)


def test_the_checks_are_run_on_every_record(tmp_path: Path) -> None:
    long = "Three planes stand on the apron. A road leads to the terminal."
    rows = [
        record("a/1.jpg", encode(draw(1)), "A road leads to the terminal.", long),
        record("a/2.jpg", encode(draw(2)), "Planes at an airport.", long, anchors=[{"class": "ship", "count": 2}]),
        record("a/3.jpg", encode(draw(3)), "Planes at an airport.", "word " * 300, num_tokens_long=302),
    ]
    found = {(f.check, f.column): (f.records, f.examples[0][0]) for f in audit(write(tmp_path, rows)).findings}
    assert found["copy", "caption_short"] == (1, "a/1.jpg")
    assert found["anchor_missing", "caption_long"] == (1, "a/2.jpg")
    assert found["clip_budget", "caption_long"] == (1, "a/3.jpg")
    assert {check.name for checks in caption_checks().values() for check in checks} >= {"copy", "anchor_count"}


def test_the_report_escapes_texts_and_loads_nothing(tmp_path: Path) -> None:
    text = '<script>alert("x")</script> <img src="http://example.org/a.png">'
    write(tmp_path, [record(f"a/{n}.jpg", encode(draw(1)), text) for n in range(3)])
    audit(tmp_path)
    page = (tmp_path / "audit" / "report.html").read_text()
    assert "<script" not in page and "<img src" not in page and "&lt;script&gt;" in page
    assert "default-src 'none'" in page and page.count("data:image/jpeg;base64,") == 4


def test_the_command_prints_the_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    write(tmp_path, [record(f"a/{n}.jpg", encode(draw(n // 2))) for n in range(4)])
    monkeypatch.setattr("sys.argv", ["lrs2m", "audit", str(tmp_path), "--json"])
    with pytest.raises(SystemExit) as stop:
        main()
    printed = json.loads(capsys.readouterr().out)
    assert stop.value.code == 0 and printed["pair_counts"] == {"duplicate": 2}
    assert printed == json.loads((tmp_path / "audit" / "audit.json").read_text())


def test_bad_settings_are_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        audit(tmp_path / "none")
    write(tmp_path / "set", [record("a/1.jpg", encode(draw(1)))])
    with pytest.raises(UserError, match="--against"):
        audit(tmp_path / "set", [tmp_path / "none"])
    (tmp_path / "x.json").write_text("{}")
    columns = {name: ["x"] for name in ("sample_id", "subset", "image", "caption_short", "caption_long")}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    with pytest.raises(UserError, match="'image' holds string, needs"):
        audit(tmp_path / "x.parquet")
    with pytest.raises(UserError, match='no list "images"'):
        audit(tmp_path / "set", [tmp_path / "x.json"])


def test_planted_copies_of_real_images_are_found_and_nothing_else(real_data: Path, tmp_path: Path) -> None:
    files = sorted((real_data / "ucmerced_jpg").rglob("*.jpg"))
    records = [record(f"a/{file.name}", file.read_bytes()) for file in files]
    chosen = random.Random(7).sample([file for file in files if file.stem != "airplane02"], 100)
    for kind, make in COPIES.items():
        records += [record(f"{kind}/{file.name}", make(Image.open(file).convert("RGB"))) for file in chosen]
    result = audit(write(tmp_path, records))
    pairs = found(result, "near_duplicate")
    for kind in COPIES:
        assert len({(f"{kind}/{file.name}", f"a/{file.name}") for file in chosen} & pairs) >= 98, kind
    assert not [pair for pair in pairs if pair[0].split("/")[1] != pair[1].split("/")[1]]
    assert found(result, "duplicate") == {("a/airplane02.jpg", "a/airplane01.jpg")}


def test_copies_of_rsicd_with_changed_light_are_leaks(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "rsicd" / "images_384"
    data = write(tmp_path, [record(f"a/{p.name}", p.read_bytes()) for p in (folder / "augmented").glob("*_v1.jpg")])
    leaked = {pair.image for pair in audit(data, [folder / "original"]).pairs if pair.kind == "near_leak"}
    assert leaked == {f"a/{path.name}" for path in (folder / "augmented").glob("*_v1.jpg")} != set()


def test_the_names_that_aid_shares_with_rsicd_are_found(real_data: Path, tmp_path: Path) -> None:
    files = sorted((real_data / "aid_150").rglob("viaduct_3*.jpg"))
    data = write(tmp_path, [record(f"aid/{file.name}", file.read_bytes()) for file in files])
    names = real_data / "rsicd" / "coco_format" / "captions_test2017.json"
    listed = {entry["file_name"] for entry in json.loads(names.read_text())["images"]}
    result = audit(data, [names])
    assert {match.name for match in result.names} == {file.name for file in files} & listed != set()


def test_a_full_disk_is_said_of_where_it_is_full(tmp_path: Path) -> None:
    data = write(tmp_path / "in", [record(f"a/{n}.jpg", encode(draw(n))) for n in range(40)])
    with small_disk(tmp_path / "disk", "16k") as disk, pytest.raises(UserError, match="disk/audit: no space left"):
        audit(data, out_dir=disk / "audit")


def test_against_a_folder_without_images_is_one_line_that_names_the_option(tmp_path: Path) -> None:
    data = write(tmp_path / "in", [record("a/1.jpg", encode(draw(1)))])
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match=r"--against .*none: contains neither images nor Parquet files"):
        audit(data, [tmp_path / "none"])


def test_a_list_without_image_files_is_not_reported_as_clean(tmp_path: Path) -> None:
    """Nothing was looked at but names: a green zero would say that no evaluation image is in the data."""
    data = write(tmp_path / "in", [record("a/park_1.jpg", encode(draw(1)))])
    names = tmp_path / "list.json"
    names.write_text(json.dumps({"images": [{"filename": "park_1.tif"}, {"filename": "park_2.tif"}]}))
    result = audit(data, [names], out_dir=tmp_path / "audit")
    assert "against 0 evaluation images and 2 file names, as no image file was found" in "\n".join(audit_lines(result))
    page = (tmp_path / "audit" / "report.html").read_text()
    assert "only its 2 file names could be compared" in page
    assert '<div class="card "><b>0</b><span>evaluation images inside' in page
    assert '<div class="card bad"><b>1</b><span>file names of evaluation images' in page
