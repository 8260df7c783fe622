"""A toy source in Karpathy's format, and what the build tests do with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from lrs2m_builder.build import Report, build
from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.shards import iter_rows
from tests.fake_engine import FakeModule

ROOT = Path(__file__).parent.parent


def make_source(folder: Path, num_images: int, *, captions: int = 1, missing: Iterable[int] = ()) -> Path:
    """Draw images, write their captions and a manifest; returns the manifest's path."""
    (folder / "imgs").mkdir(parents=True, exist_ok=True)
    images = []
    for number in range(num_images):
        if number not in missing:
            color = (number * 37 % 256, number * 61 % 256, 90)
            Image.new("RGB", (40, 30), color).save(folder / "imgs" / f"{number}.jpg")
        sentences = [{"raw": f"Field number {number} seen for the time {i} ."} for i in range(captions)]
        images.append({"filename": f"{number}.jpg", "sentences": sentences, "split": "train"})
    (folder / "dataset.json").write_text(json.dumps({"images": images}))
    manifest = {
        "name": "toy",
        "title": "Toy",
        "format": "karpathy_json",
        "files": {"annotations": ["dataset.json"], "images": ["imgs/{filename}"]},
        "rows": "caption",
        "viewpoint": "aerial",
        "license": "CC0-1.0",
        "homepage": "none",
        "citation": "none",
        "get": "make it",
        "texts_from": "toy captions",
    }
    path = folder / "toy.yaml"
    path.write_text(yaml.safe_dump(manifest))
    return path


def toy_options(source: Path, out_dir: Path, **changes: Any) -> BuildOptions:
    """Options for the toy source; `changes` override them."""
    settings: dict[str, Any] = {
        "recipe": "short_to_long",
        "source": str(source),
        "data_dir": source.parent,
        "out_dir": out_dir,
        "engine": "fake",
        "model": "toy-model",
        "shard_size": 10,
    }
    return BuildOptions(**(settings | changes))


def build_toy(source: Path, out_dir: Path, module: FakeModule | None = None, **changes: Any) -> Report:
    """Build the toy source with the scripted engine."""
    return build(toy_options(source, out_dir, **changes), module or FakeModule())


def rows(out_dir: Path, kind: str = "data") -> list[dict[str, Any]]:
    """All rows of a build, in the order of its shards."""
    return [row for path in sorted((out_dir / kind).rglob("*.parquet")) for row in iter_rows(path)]


def ids(out_dir: Path, kind: str = "data") -> list[str]:
    """Sample ids of all rows."""
    return [row["sample_id"] for row in rows(out_dir, kind)]


def file_bytes(out_dir: Path) -> dict[str, bytes]:
    """Content of every finished shard."""
    paths = [path for path in sorted(out_dir.rglob("[!.]*.parquet")) if "staging" not in path.parts]
    return {str(path.relative_to(out_dir)): path.read_bytes() for path in paths}


def start_cli(
    source: Path, out_dir: Path | str, *arguments: str, log: Path, delay_s: float = 0.02, **popen: Any
) -> subprocess.Popen[str]:
    """The real command line in a process of its own, the scripted engine behind it."""
    command = [sys.executable, "-m", "tests.fake_engine", "build", "--recipe", "short_to_long"]
    command += ["--source", str(source), "--data-dir", str(source.parent), "--out", str(out_dir)]
    command += ["--model", "toy-model", "--engine", "fake", "--shard-size", "10", "--max-reject-rate", "1", *arguments]
    environment = {**os.environ, "LRS2M_FAKE_LOG": str(log), "LRS2M_FAKE_DELAY_S": str(delay_s)}
    settings: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | popen
    return subprocess.Popen(command, cwd=ROOT, env=environment, **settings)


def journaled(out_dir: Path) -> set[str]:
    """Request ids of all answers that stand in a journal as whole lines."""
    found = set()
    for path in (out_dir / "journal").rglob("*.jsonl"):
        content = path.read_bytes()
        for line in content[: content.rfind(b"\n") + 1].splitlines():
            entry = json.loads(line.partition(b" ")[2])
            found.add(f"{entry['sample_id']}:{entry['step']}:{entry['attempt']}")
    return found
