"""The recipe `merge` on as many rows as MillionAID has, against DuckDB, polars and pandas: rows/s and peak memory.

Ours joins, repairs and checks the texts, counts their CLIP tokens and writes the 24 columns of a record with its
provenance; the alternatives do only the join and the write of three columns. The sources are made on the spot, of about
the true size; rows refer to their images by name.

    python benchmarks/merge.py [--rows 920057] [--data FOLDER]
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import yaml
from _merge_data import write_sources
from PIL import Image

from lrs2m_builder.shipped import find

DUCKDB = r"""
import duckdb
duckdb.sql("COPY (SELECT l.image, l.conversations[2].value AS caption_long, s.caption AS caption_short "
    "FROM read_json('list_pretrain.json', format='array') l JOIN read_csv('rs3_dump.csv') s "
    "ON 'millionaid_' || l.image = s.name) TO 'peer.parquet' (FORMAT parquet, COMPRESSION zstd)")
"""
POLARS = r"""
import polars as pl
long = pl.read_json("list_pretrain.json").select(
    pl.col("image"), caption_long=pl.col("conversations").list.get(1).struct.field("value"),
    name="millionaid_" + pl.col("image"))
long.join(pl.read_csv("rs3_dump.csv"), on="name").write_parquet("peer.parquet", compression="zstd")
"""
PANDAS = r"""
import json, pandas
data = json.load(open("list_pretrain.json"))
long = pandas.DataFrame({"image": [entry["image"] for entry in data],
    "caption_long": [entry["conversations"][1]["value"] for entry in data]})
long["name"] = "millionaid_" + long["image"]
long.merge(pandas.read_csv("rs3_dump.csv"), on="name").to_parquet("peer.parquet", compression="zstd")
"""


def make_source(folder: Path, num_rows: int) -> Path:
    """Both files, one image that stands for all, and the manifest that says so."""
    if not (folder / "rs3_dump.csv").exists():
        write_sources(folder, num_rows)
    Image.new("RGB", (8, 8)).save(folder / "one.jpg")
    manifest = yaml.safe_load(find("manifests", "millionaid").read_text())
    manifest["files"]["images"] = ["one.jpg"]
    path = folder / "millionaid.yaml"
    path.write_text(yaml.safe_dump(manifest))
    return path


def measure(command: list[str], folder: Path) -> tuple[float, int]:
    """(seconds, peak resident MB of the process and its children together)."""
    start, peak = time.perf_counter(), 0
    process = psutil.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while process.poll() is None:
        try:
            family = (process, *process.children(recursive=True))
            # Shared pages (libraries) count once for each process: an upper bound.
            peak = max(peak, sum(member.memory_info().rss for member in family))
        except psutil.NoSuchProcess:
            continue
        time.sleep(0.1)
    if process.wait():
        raise SystemExit(process.stderr.read().decode()[-2000:])
    return time.perf_counter() - start, peak // 2**20


def main() -> None:
    """Make the sources, measure everybody, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=920_057)
    parser.add_argument("--data", type=Path, help="folder that keeps the sources for the next run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.data or Path(temporary)).absolute()
        source = make_source(folder, arguments.rows)
        shutil.rmtree(folder / "out", ignore_errors=True)
        build = [sys.executable, "-m", "lrs2m_builder.cli", "build", "--recipe", "merge", "--source", str(source)]
        build += ["--data-dir", str(folder), "--out", str(folder / "out"), "--images", "reference"]
        found = {"ours": measure([*build, "--shard-size", "20000"], folder)}
        for name, script in (("duckdb", DUCKDB), ("polars", POLARS), ("pandas", PANDAS)):
            found[name] = measure([sys.executable, "-c", script], folder)
    fastest = min(seconds for name, (seconds, _) in found.items() if name != "ours")
    for name, (seconds, peak) in found.items():
        print(f"{name:<8}{seconds:8.1f} s {arguments.rows / seconds:10,.0f} rows/s {peak:7,} MB")
    print(json.dumps({"ratio_to_fastest": round(found["ours"][0] / fastest, 2), "peak_mb": found["ours"][1]}))


if __name__ == "__main__":
    main()
