"""`lrs2m export` writes over nothing and outside of nothing, and leaves nothing half done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lrs2m_builder.dataset.export import formats, load_format
from lrs2m_builder.dataset.export._base import Options
from lrs2m_builder.dataset.export._run import export
from lrs2m_builder.dataset.selection import Filters
from lrs2m_builder.errors import UserError
from tests.export_data import png, records, row, run, write_rows
from tests.toy import ROOT, build_toy, make_source


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of 30 images with two captions each, in six shards."""
    folder = tmp_path_factory.mktemp("export")
    build_toy(make_source(folder / "data", 30, captions=2), folder / "out")
    return folder / "out"


def test_nothing_is_written_over(built: Path, tmp_path: Path) -> None:
    (tmp_path / "dest").mkdir()
    (tmp_path / "dest" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="already exists"):
        run(built, "json", tmp_path / "dest")
    assert [path.name for path in (tmp_path / "dest").iterdir()] == ["mine.txt"]


def test_an_export_that_fails_leaves_nothing(tmp_path: Path) -> None:
    write_rows(tmp_path / "in" / "a.parquet", [row(1), row(2, image={"bytes": None, "path": "2.png"})])
    with pytest.raises(UserError, match="a/2: the data contain no image; export with --images reference"):
        run(tmp_path / "in", "csv", tmp_path / "dest")
    assert list(tmp_path.iterdir()) == [tmp_path / "in"]


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
        with pytest.raises(UserError, match=f"--images {images}: {to} supports "):
            run(tmp_path / "in", to, tmp_path / "dest", images=images)


def test_an_unknown_format_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="known: csv, geoparquet, json, mgrs, stac, webdataset"):
        run(tmp_path, "yaml", tmp_path / "dest")


def test_lines_are_refused_where_a_format_has_none(built: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--lines: mgrs does not support it"):
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
