"""Images inside tars, Parquet and Arrow files are read where they lie; what is damaged there is a rejection."""

from __future__ import annotations

import io
import tarfile
import tracemalloc
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
from PIL import Image

from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.images.files import read_image
from lrs2m_builder.images.load import decode, load_stored
from lrs2m_builder.schema import ImageRef, TableCell, TarMember
from lrs2m_builder.sources import open_source, read_samples
from lrs2m_builder.sources._survey import survey
from lrs2m_builder.sources._tars import read_groups
from lrs2m_builder.sources.rs5m import read
from tests.fake_engine import FakeModule
from tests.toy import build_toy, file_bytes, ids, rows

BEN = "in Spring an image of 'beaches, dunes, sands, sea and ocean' from utm zone 29N at 10 o'clock, May 15. a shore"


def jpeg(number: int, size: tuple[int, int] = (40, 30)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (number * 37 % 256, number * 61 % 256, 90)).save(buffer, format="JPEG")
    return buffer.getvalue()


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def rs5m_members(number: int, name: str, caption: str) -> list[tuple[str, bytes]]:
    """A sample as RS5M's tars hold it, members in the order of their names."""
    parts = {"caption": caption.encode(), "img_content": jpeg(number), "img_name": name.encode()}
    return [(f"{number:09d}.{part}", data) for part, data in parts.items()]


def write_rs5m_tars(folder: Path, num_samples: int, *, num_tars: int = 2, first: str = "ben_") -> Path:
    """Tars with a sample of MillionAID after each of the wanted subset."""
    for index in range(num_tars):
        members = []
        for number in range(index, num_samples, num_tars):
            members += rs5m_members(2 * number, f"{first}{number}.jpg", BEN)
            members += rs5m_members(2 * number + 1, f"millionaid_P{number}.jpg", "a field from above")
        write_tar(folder / f"rs3-train-{index:04d}.tar", members)
    return folder


def reason_of(ref: ImageRef) -> str:
    with pytest.raises(SampleError) as caught:
        decode(ref)
    return caught.value.reason


def test_rs5m_tars_give_each_sample_with_the_image_beside_it(tmp_path: Path) -> None:
    samples = list(read_samples(open_source(load_manifest("bigearthnet"), write_rs5m_tars(tmp_path, 5))))
    assert [sample.image_name for sample in samples] == ["0.jpg", "2.jpg", "4.jpg", "1.jpg", "3.jpg"]
    for sample in samples:
        assert isinstance(sample.image_path, TarMember)
        assert read_image(sample.image_path) == jpeg(2 * int(sample.image_name[0]))
        assert [anchor.name for anchor in sample.anchors] == ["beaches, dunes, sands", "sea and ocean"]
        assert sample.captions == ("a shore",)


def test_a_build_from_tars_goes_on_after_a_stop_to_the_same_shards(tmp_path: Path) -> None:
    folder = write_rs5m_tars(tmp_path / "data", 25)
    options = {"source": Path("bigearthnet"), "data_dir": folder, "shard_size": 10}
    whole = build_toy(out_dir=tmp_path / "whole", **options)
    assert whole.samples == 25 == whole.records + sum(whole.rejections.values())
    build_toy(out_dir=tmp_path / "again", **options)
    (tmp_path / "again" / "data" / "bigearthnet" / "train-00001.parquet").unlink()
    build_toy(out_dir=tmp_path / "again", **options)
    assert file_bytes(tmp_path / "again") == file_bytes(tmp_path / "whole")
    for row in rows(tmp_path / "whole"):
        assert row["image"]["bytes"] == jpeg(2 * int(row["sample_id"].split("/")[1].removesuffix(".jpg")))


def test_a_changed_caption_in_a_tar_is_another_build(tmp_path: Path) -> None:
    folder = write_rs5m_tars(tmp_path / "data", 4, num_tars=1)
    options = {"source": Path("bigearthnet"), "data_dir": folder, "out_dir": tmp_path / "out"}
    build_toy(**options)
    tar = folder / "rs3-train-0000.tar"
    tar.write_bytes(tar.read_bytes().replace(b"a shore", b"a coast", 1))
    with pytest.raises(UserError, match=r"other settings: samples\.sha256"):
        build_toy(**options)


def test_missing_and_cut_off_members_are_rejections(tmp_path: Path) -> None:
    members = [
        *rs5m_members(0, "ben_0.jpg", BEN),
        *[member for member in rs5m_members(1, "ben_1.jpg", BEN) if "img_content" not in member[0]],
        *[member for member in rs5m_members(2, "ben_2.jpg", BEN) if "img_name" not in member[0]],
        *[member for member in rs5m_members(3, "ben_3.jpg", BEN) if "caption" not in member[0]],
        ("000000004.img_name", b"ben_4.jpg"),
        ("000000004.caption", BEN.encode()),
        ("000000004.img_content", jpeg(4, (400, 300))),
    ]
    path = write_tar(tmp_path / "data" / "rs3-train-0000.tar", members)
    path.write_bytes(path.read_bytes()[: path.read_bytes().rindex(jpeg(4, (400, 300))) + 300])
    options = {"data_dir": tmp_path / "data", "checks": {"all": "off"}}
    report = build_toy(Path("bigearthnet"), tmp_path / "out", FakeModule(), **options)
    reasons = {row["sample_id"]: row["reason"] for row in rows(tmp_path / "out", "rejected")}
    assert reasons == {
        "bigearthnet/1.jpg": "image_missing",
        "bigearthnet/000000002": "image_missing",
        "bigearthnet/3.jpg": "no_captions",
        "bigearthnet/4.jpg": "image_truncated",
    }
    assert report.samples == 5


def test_an_archive_that_ends_before_a_name_says_so_once(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "rs3-train-0000.tar", [*rs5m_members(0, "ben_0.jpg", BEN), *rs5m_members(1, "x", BEN)])
    path.write_bytes(path.read_bytes()[: path.read_bytes().rindex(jpeg(1)) + 100])
    first, cut = read(path, "ben_")
    assert first.problem is None
    assert cut.image_name == "000000001" and cut.problem is not None and cut.problem[0] == "image_missing"


@pytest.mark.parametrize("damage", ["compressed", "no tar", "empty", "header", "not yet filled"])
def test_a_file_that_is_no_tar_is_one_line(tmp_path: Path, damage: str) -> None:
    path = write_tar(tmp_path / "a.tar", rs5m_members(0, "ben_0.jpg", BEN))
    if damage == "compressed":
        with tarfile.open(path, "w:gz") as tar:
            tar.addfile(tarfile.TarInfo("0.caption"))
    elif damage == "header":
        content = bytearray(path.read_bytes())
        content[content.index(b"000000000.img_name") + 100] ^= 0xFF
        path.write_bytes(content)
    elif damage == "not yet filled":
        path.write_bytes(path.read_bytes()[:2000] + bytes(2_000_000))
    else:
        path.write_bytes(b"" if damage == "empty" else b"x" * 5000)
    with pytest.raises(UserError, match=r"a\.tar: (not a readable tar|truncated or damaged after byte \d+)"):
        list(read_groups(path))


def test_a_large_tar_is_read_in_little_memory(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", (m for n in range(4000) for m in rs5m_members(n, f"ben_{n}.jpg", BEN)))
    tracemalloc.start()
    assert sum(1 for _ in read(path, "ben_")) == 4000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 9e6 and peak < 1e6


def test_the_survey_reads_tars_and_finds_identical_images(tmp_path: Path) -> None:
    members = [*rs5m_members(0, "ben_0.jpg", BEN), *rs5m_members(1, "ben_1.jpg", BEN)]
    members += [("2.caption", BEN.encode()), ("2.img_content", jpeg(0)), ("2.img_name", b"ben_2.jpg")]
    write_tar(tmp_path / "rs3-val-0000.tar", members)
    found = survey(load_manifest("bigearthnet"), tmp_path)
    assert (found.images, found.images_found, found.problems) == (3, 3, {})
    assert found.identical_images == {"count": 1, "examples": ["2.jpg is 0.jpg"]}


def test_a_geotiff_in_a_tar_is_decoded_as_a_file_is(tmp_path: Path) -> None:
    bands = np.arange(3 * 20 * 20, dtype=np.uint16).reshape(3, 20, 20) * 40
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", dtype="uint16", count=3, height=20, width=20) as raster:
        raster.write(bands)
    tar = write_tar(tmp_path / "a.tar", [("0.img_content", (tmp_path / "a.tif").read_bytes())])
    ((_, members),) = read_groups(tar)
    assert np.array_equal(decode(members["img_content"]), decode(tmp_path / "a.tif"))
    assert load_stored(members["img_content"]) == load_stored(tmp_path / "a.tif")


def write_table(path: Path, images: list[bytes | None], *, per_group: int = 3) -> list[TableCell]:
    column = [{"bytes": image, "path": f"{number}.jpg"} for number, image in enumerate(images)]
    table = pa.table({"image": pa.array(column, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))})
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=per_group)
    else:
        with pa.ipc.new_stream(path, table.schema) as stream:
            stream.write_table(table, max_chunksize=per_group)
    return [TableCell(path, "image", row) for row in range(len(images))]


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_threads_read_the_right_cell_of_a_table_in_any_order(tmp_path: Path, suffix: str) -> None:
    images = [jpeg(number) for number in range(40)]
    cells = write_table(tmp_path / f"a{suffix}", list(images))
    order = [number * 17 % 40 for number in range(40)] * 3
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read_image, [cells[number] for number in order])) == [images[number] for number in order]


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_a_cell_without_a_picture_is_a_rejection(tmp_path: Path, suffix: str) -> None:
    cells = write_table(tmp_path / f"a{suffix}", [jpeg(0), None, b"", b"no picture", jpeg(1)[:400]])
    reasons = ["image_missing", "image_empty", "image_unreadable"]
    assert [reason_of(cell) for cell in cells[1:4]] == reasons
    with pytest.raises(SampleError, match=r"image_truncated|image_unreadable"):
        load_stored(cells[4])


@pytest.mark.parametrize("ref", [TarMember(Path("no.tar"), "a", 0, 9), TableCell(Path("no.parquet"), "image", 0)])
def test_a_container_that_is_gone_is_a_rejection(ref: ImageRef) -> None:
    assert reason_of(ref) == "image_missing"


def test_a_container_that_is_damaged_is_a_rejection(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    assert reason_of(TableCell(tmp_path / "a.parquet", "image", 0)) == "image_unreadable"


def test_ids_from_tars_are_unique(tmp_path: Path) -> None:
    folder = write_rs5m_tars(tmp_path / "data", 12, num_tars=3)
    build_toy(Path("bigearthnet"), tmp_path / "out", data_dir=folder)
    found = ids(tmp_path / "out") + ids(tmp_path / "out", "rejected")
    assert len(set(found)) == len(found) == 12
