"""The recipe `merge` on as many rows as MillionAID has, against DuckDB, polars and pandas: rows/s and peak memory.

Ours joins, repairs and checks the texts, counts their CLIP tokens and writes the 24 columns of a record with its
provenance; the alternatives only join and write three columns. The sources are generated, of about
the true size; rows refer to their images by name.

    python benchmarks/merge.py [--rows 920057] [--data FOLDER] [--runs 5]

Each run measures every program once, one after the other; medians and the ratio of every run are printed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median

import yaml
from _common import measure
from _merge_data import write_sources
from PIL import Image

from lrs2m_builder.declared.shipped import find

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
    """Both files, one image shared by all rows, and the manifest."""
    if not (folder / "rs3_dump.csv").exists():
        write_sources(folder, num_rows)
    Image.new("RGB", (8, 8)).save(folder / "one.jpg")
    manifest = yaml.safe_load(find("manifests", "millionaid").read_text())
    manifest["files"]["images"] = ["one.jpg"]
    path = folder / "millionaid.yaml"
    path.write_text(yaml.safe_dump(manifest))
    return path


def main() -> None:
    """Make the sources, measure every program, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=920_057)
    parser.add_argument("--data", type=Path, help="folder that keeps the sources for the next run")
    parser.add_argument("--runs", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.data or Path(temporary)).absolute()
        source = make_source(folder, arguments.rows)
        build = [sys.executable, "-m", "lrs2m_builder.cli", "build", "--recipe", "merge", "--source", str(source)]
        build += ["--data-dir", str(folder), "--out", str(folder / "out"), "--images", "reference"]
        commands = {"ours": [*build, "--shard-size", "20000"]}
        peers = {"duckdb": DUCKDB, "polars": POLARS, "pandas": PANDAS}
        commands |= {name: [sys.executable, "-c", script] for name, script in peers.items()}
        runs = []
        for _ in range(arguments.runs):
            shutil.rmtree(folder / "out", ignore_errors=True)
            runs.append({name: measure(command, folder) for name, command in commands.items()})
    for name in commands:
        seconds, peak = median(run[name][0] for run in runs), max(run[name][1] for run in runs)
        print(f"{name:<8}{seconds:8.1f} s {arguments.rows / seconds:10,.0f} rows/s {peak:7,} MB")
    ratios = [run["ours"][0] / min(run[name][0] for name in peers) for run in runs]
    result = {"ratio_to_fastest": round(median(ratios), 2), "ratios": [round(ratio, 2) for ratio in ratios]}
    print(json.dumps({**result, "peak_mb": max(run["ours"][1] for run in runs)}))


if __name__ == "__main__":
    main()
