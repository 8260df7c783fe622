"""The source of a build is read once; while nothing has changed, its plan is read in its place."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
from itertools import islice
from pathlib import Path

import pytest

from lrs2m_builder.build import prepare
from lrs2m_builder.build.plan_file import PlanFile
from lrs2m_builder.build.sample_rows import from_table, to_table
from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.errors import UserError
from lrs2m_builder.schema import Anchor, Place, Sample, TableCell, TarMember
from lrs2m_builder.sources import open_source, read_samples
from tests.toy import build_toy, file_bytes, ids, make_source

TIME = dt.datetime(2020, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC)
PLAN = "plan/toy.parquet"
SHARD = "data/toy/train-00001.parquet"


@pytest.fixture
def built(tmp_path: Path) -> tuple[Path, Path]:
    """A source of 25 samples and its build, whose second shard was lost; image 3 is missing, 11 is refused."""
    source, out = make_source(tmp_path / "src", 25, missing=[3]), tmp_path / "out"
    build_toy(source, out)
    (out / SHARD).unlink()
    return source, out


def read_nothing(*_: object) -> None:
    raise AssertionError("the source was read again")


def test_a_resumed_build_reads_the_plan_and_not_the_source(
    built: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_toy(built[0], tmp_path / "whole")
    monkeypatch.setattr(prepare, "open_source", read_nothing)
    build_toy(*built)
    assert file_bytes(built[1]) == file_bytes(tmp_path / "whole")


@pytest.mark.parametrize("harm", ["both", "notes", "torn", "damaged"])
def test_a_plan_that_is_not_there_or_not_whole_is_written_anew(built: tuple[Path, Path], harm: str) -> None:
    path = built[1] / PLAN
    whole = path.read_bytes()
    if harm == "both":  # as an earlier version left a build
        shutil.rmtree(path.parent)
    elif harm == "notes":  # killed before they were written
        path.with_suffix(".json").unlink()
    elif harm == "torn":
        path.write_bytes(whole[:100])
    else:
        path.with_suffix(".json").write_text('{"settings": 3}')
    assert build_toy(*built).records == 23
    assert path.read_bytes() == whole and json.loads(path.with_suffix(".json").read_text())["layout"]


def test_a_source_whose_texts_changed_is_refused(built: tuple[Path, Path]) -> None:
    file = built[0].parent / "dataset.json"
    file.write_text(file.read_text().replace("Field number 7", "Fjord number 7"))
    with pytest.raises(UserError, match=r"was built with other settings: .*sha256"):
        build_toy(*built)


def test_an_image_that_came_later_is_found(built: tuple[Path, Path]) -> None:
    images = built[0].parent / "imgs"
    shutil.copy(images / "4.jpg", images / "3.jpg")
    (built[1] / "data/toy/train-00000.parquet").unlink()
    assert build_toy(*built).records == 24


def test_a_retry_reads_the_source_again(built: tuple[Path, Path]) -> None:
    images = built[0].parent / "imgs"
    before = images.stat()
    shutil.copy(images / "4.jpg", images / "3.jpg")
    os.utime(images, ns=(before.st_atime_ns, before.st_mtime_ns))  # a file system that keeps no times
    assert build_toy(*built).records == 23
    assert build_toy(*built, retry_rejected=True).records == 25


def test_a_damaged_shard_of_a_plan_is_named(built: tuple[Path, Path]) -> None:
    path = built[1] / PLAN
    content = bytearray(path.read_bytes())
    place = PlanFile(path, "toy", built[0].parent)._parquet.metadata.row_group(1).column(0).data_page_offset
    content[place + 40] ^= 255
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"plan/toy\.parquet: cannot be read .*; delete it"):
        build_toy(*built)


def test_the_plan_holds_every_sample_in_order_and_any_step(built: tuple[Path, Path]) -> None:
    source, out = built
    samples = list(read_samples(open_source(load_manifest(str(source)), source.parent)))
    plan = PlanFile(out / PLAN, "toy", source.parent)
    assert list(plan.pick(range(25))) == samples == [sample for index in range(3) for sample in plan.shard(index)]
    assert list(plan.pick(range(0, 24, 7))) == list(islice(samples, 0, 24, 7))
    assert plan.samples["number"] == 25 and len(ids(out)) == 14


@pytest.mark.parametrize("data_dir", [Path("/data"), Path("data"), Path()], ids=str)
def test_a_sample_of_any_kind_comes_back_as_it_was(data_dir: Path) -> None:
    anchors = (Anchor("plane", 10**30, ((0.1, -2.5, 1e-9, 3.0),)), Anchor("grass"))
    samples = [
        Sample("s/1", "s", "1", data_dir / "a/1.jpg", ("one", "zwei “x”", "\t"), "long \\ \U0001f680", anchors, "c"),
        Sample("s/2", "s", "2", None, no_anchors=("no_label", "because\n"), problem=("image_missing", "é")),
        Sample("s/3", "s", "3", TarMember(data_dir / "t.tar", os.fsdecode(b"\xfc.jpg"), 2**40, 7)),
        Sample("s/4", "s", "4", TableCell(data_dir / "t.parquet", "image", 3), ("",)),
        Sample("s/5", "s", "5", data_dir / os.fsdecode(b"\xff.png")),
        Sample("s/6", "s", "6", Path("/elsewhere/6.png")),
        Sample(
            "s/7",
            "s",
            "7",
            None,
            place=Place(0.1, -7.5, (0.1, -8, 1e-9, 3.5), b"\1\xff", "EPSG:1", 0.3, TIME, "a", "b"),
        ),
    ]
    back = from_table(to_table(samples, data_dir), "s", data_dir)
    assert back == samples
    assert repr(back) == repr(samples) and back[0].anchors[0].boxes == anchors[0].boxes
