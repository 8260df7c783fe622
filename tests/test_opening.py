"""Whatever lies where an image or a label should be, it is that sample's rejection: nothing is waited for."""

from __future__ import annotations

import errno
import io
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.files import open_regular
from lrs2m_builder.images import files
from lrs2m_builder.images.files import hash_image, open_image, read_image
from lrs2m_builder.images.load import decode, load_stored
from lrs2m_builder.images.part import Part
from lrs2m_builder.schema import ImageRef, TableCell, TarMember
from lrs2m_builder.sources._survey import survey
from tests.fake_engine import FakeModule
from tests.test_images import smooth_image, write_geotiff
from tests.toy import build_toy, make_source, rows


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's path has at most 107 bytes
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)


ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "fifo": (os.mkfifo, "image_unreadable"),
    "link to a fifo": (lambda path: (os.mkfifo(f"{path}.pipe"), path.symlink_to(f"{path}.pipe")), "image_unreadable"),
    "socket": (make_socket, "image_unreadable"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "image_unreadable"),
    "tty": (lambda path: path.symlink_to("/dev/tty"), "image_unreadable"),
    "loop": (lambda path: path.symlink_to(path), "image_unreadable"),
    "i/o error": (lambda path: path.symlink_to("/proc/self/mem"), "image_unreadable"),
    "folder": (Path.mkdir, "image_unreadable"),
    "nowhere": (lambda path: path.symlink_to("gone.jpg"), "image_missing"),
    "huge": (lambda path: (path.touch(), os.truncate(path, 2**33)), "image_too_large"),
}


READERS = (decode, load_stored, read_image)


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("read", READERS)
def test_what_is_no_image_file_is_a_rejection(tmp_path: Path, kind: str, read: Callable[[Path], object]) -> None:
    make, reason = ODD[kind]
    make(tmp_path / "a.jpg")
    with pytest.raises(SampleError) as caught:
        read(tmp_path / "a.jpg")
    assert caught.value.reason == reason
    assert "a.jpg" in caught.value.detail


@pytest.mark.parametrize(
    "name", ["x" * 300, "🛰" * 75, "a/" + "b" * 256 + "/c.jpg", "a\0b", "a\ud800b", "no/such/1.jpg"]
)
def test_a_name_that_no_file_has_is_a_rejection(tmp_path: Path, name: str) -> None:
    with pytest.raises(SampleError, match=r"image_missing|image_unreadable"):
        decode(tmp_path / name)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES, errno.ENODEV, errno.ETIMEDOUT])
@pytest.mark.parametrize("read", [*READERS, hash_image])
def test_an_error_of_the_disk_in_the_middle_is_a_rejection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, read: Callable[[Path], object]
) -> None:
    smooth_image(60, 40).save(tmp_path / "a.jpg")

    class Failing(io.FileIO):
        def readinto(self, buffer: Any) -> int:
            raise OSError(number, os.strerror(number))

    def opened(path: Path) -> io.BufferedReader:
        return io.BufferedReader(Failing(path))

    monkeypatch.setattr(files, "open_regular", opened)
    monkeypatch.setattr("lrs2m_builder.files.open_regular", opened)
    with pytest.raises(SampleError) as caught:
        read(tmp_path / "a.jpg")
    assert caught.value.reason == "image_unreadable" and os.strerror(number) in caught.value.detail


def test_a_build_with_odd_files_ends_and_loses_nothing(tmp_path: Path) -> None:
    source = make_source(tmp_path, len(ODD) + 2, missing=range(len(ODD)))
    for number, (make, _) in enumerate(ODD.values()):
        make(tmp_path / "imgs" / f"{number}.jpg")
    report = build_toy(source, tmp_path / "out", FakeModule(), checks={"all": "off"})
    assert report.samples == len(ODD) + 2 == report.records + sum(report.rejections.values())
    assert report.records == 2
    found = {
        int(row["sample_id"].split("/")[1].split(".")[0]): row["reason"] for row in rows(tmp_path / "out", "rejected")
    }
    assert set(found) == set(range(len(ODD)))
    assert {reason.split("_")[0] for reason in found.values()} == {"image"}


def test_the_survey_counts_odd_files(tmp_path: Path) -> None:
    source = make_source(tmp_path, 4, missing=[0, 1])
    os.mkfifo(tmp_path / "imgs" / "0.jpg")
    (tmp_path / "imgs" / "1.jpg").symlink_to("1.jpg")
    found = survey(load_manifest(str(source)), tmp_path)
    assert {reason: problem["count"] for reason, problem in found.problems.items()} == {"image_unreadable": 2}


def test_a_pipe_beside_a_raster_is_not_opened(tmp_path: Path) -> None:
    path = write_geotiff(tmp_path / "a.tif", np.arange(300, dtype=np.uint16).reshape(3, 10, 10))
    os.mkfifo(tmp_path / "a.tif.msk")
    with pytest.raises(SampleError, match=r"a\.tif\.msk"):
        decode(path)


def test_a_raster_of_a_long_name_is_read(tmp_path: Path) -> None:
    path = write_geotiff(tmp_path / f"{'a' * 250}.tif", np.arange(300, dtype=np.uint16).reshape(3, 10, 10))
    assert decode(path).size == (10, 10)


def test_a_pipe_as_annotation_file_or_band_is_one_line(tmp_path: Path) -> None:
    source = make_source(tmp_path, 1)
    (tmp_path / "dataset.json").unlink()
    os.mkfifo(tmp_path / "dataset.json")
    with pytest.raises(UserError, match=r"dataset\.json: a pipe, socket or device"):
        build_toy(source, tmp_path / "out")
    (tmp_path / "patch").mkdir()
    for band in ("B02", "B03", "B04"):
        os.mkfifo(tmp_path / "patch" / f"patch_{band}.tif")
    with pytest.raises(SampleError, match="image_unreadable"):
        decode(tmp_path / "patch", part=Part(bands=("B04", "B03", "B02")))


def test_a_container_that_became_a_pipe_is_a_rejection(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tar")
    os.mkfifo(tmp_path / "a.parquet")
    os.mkfifo(tmp_path / "a.arrow")
    refs: list[ImageRef] = [TarMember(tmp_path / "a.tar", "1.jpg", 0, 9)]
    refs += [TableCell(tmp_path / f"a.{suffix}", "image", 0) for suffix in ("parquet", "arrow")]
    for ref in refs:
        with pytest.raises(SampleError, match="image_unreadable"):
            open_image(ref)


def test_bytes_behind_an_image_are_not_taken_into_memory(tmp_path: Path) -> None:
    smooth_image(60, 40).save(tmp_path / "a.jpg")
    os.truncate(tmp_path / "a.jpg", 3 * 2**30)
    for read in (decode, load_stored, read_image):
        with pytest.raises(SampleError, match=r"image_too_large: .*3,221,225,472 bytes, at most"):
            read(tmp_path / "a.jpg")


def test_a_raster_of_any_number_of_bytes_is_read_in_parts(tmp_path: Path) -> None:
    path = write_geotiff(tmp_path / "a.tif", np.arange(300, dtype=np.uint16).reshape(3, 10, 10))
    os.truncate(path, 3 * 2**30)
    assert decode(path).size == (10, 10)
    assert load_stored(path).suffix == ".png"


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "tar"])
def test_a_large_cell_or_member_is_refused_before_it_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    table = pa.table({"image": pa.array([b"x" * 2000], pa.large_binary())})
    if suffix == "parquet":
        pq.write_table(table, path)
    elif suffix == "arrow":
        with pa.ipc.new_stream(path, table.schema) as stream:
            stream.write_table(table)
    else:
        path.write_bytes(b"x" * 2000)
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    ref = TarMember(path, "1.jpg", 0, 2000) if suffix == "tar" else TableCell(path, "image", 0)
    with pytest.raises(SampleError, match="image_too_large"):
        read_image(ref)


def test_a_regular_file_is_opened_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"Z\xfcrich\n.txt")
    path.write_bytes(b"text")
    with open_regular(path) as file:
        assert file.read() == b"text"


def test_a_label_file_that_cannot_be_read_is_that_images_rejection(tmp_path: Path) -> None:
    source = make_source(tmp_path, 3)
    text = source.read_text().replace("karpathy_json", "vector_labels").replace("dataset.json", "labels")
    source.write_text(text.replace("rows: caption", "rows: image"))
    (tmp_path / "labels").mkdir()
    os.mkfifo(tmp_path / "labels" / "0.txt")
    (tmp_path / "labels" / "1.txt").symlink_to("1.txt")
    (tmp_path / "labels" / "2.txt").write_text("1 1 9 1 9 9 1 9 plane 0\n")
    report = build_toy(source, tmp_path / "out", recipe="vector_anchored", checks={"all": "off"})
    assert (report.samples, report.records, report.rejections) == (3, 1, {"label_unreadable": 2})
