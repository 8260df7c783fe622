"""`lrs2m stats` on the number of rows of LRS2M, with a small image in each: seconds and peak memory.

The alternative, in the same run, is pandas: the same columns of the same files, means and distinct words of the texts.

    python benchmarks/stats.py [--rows 2023688]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from _common import measure
from _merge_data import texts

from lrs2m_builder.build.stored_rows import RECORD_SCHEMA
from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.declared.shipped import shipped_names

ROWS_A_SHARD = 10_000
IMAGE_BYTES = 600
ALTERNATIVE = """
import sys, pandas
columns = ["subset", "caption_short", "caption_long", "num_tokens_short", "num_tokens_long"]
data = pandas.read_parquet(sys.argv[1], columns=columns)
print(data.groupby("subset")[["num_tokens_short", "num_tokens_long"]].describe())
for column in ("caption_short", "caption_long"):
    print(len(set().union(*(set(text.lower().split()) for text in data[column]))))
"""


def write_data(folder: Path, num_rows: int, image: bytes | None = None) -> None:
    """Shards with every column of a record, the subsets in the paper's proportions; random bytes for the images."""
    random = np.random.default_rng(0)
    for subset, pairs in _pairs(num_rows):
        long, short = texts(random, pairs, 80), texts(random, pairs, 12)
        for first in range(0, pairs, ROWS_A_SHARD):
            size = min(ROWS_A_SHARD, pairs - first)
            path = folder / "data" / subset / f"train-{first // ROWS_A_SHARD:05d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = [_row(random, subset, first + i, next(long), next(short), image) for i in range(size)]
            pq.write_table(
                pa.Table.from_pylist(rows, schema=RECORD_SCHEMA), path, compression="zstd", row_group_size=100
            )


def _pairs(num_rows: int) -> Iterator[tuple[str, int]]:
    of_paper = {name: paper.pairs for name in shipped_names("manifests") if (paper := load_manifest(name).paper)}
    for name, pairs in of_paper.items():
        yield name, max(1, round(num_rows * pairs / sum(of_paper.values())))


def _row(
    random: np.random.Generator, subset: str, number: int, long: str, short: str, data: bytes | None
) -> dict[str, object]:
    image = {"bytes": data or random.bytes(IMAGE_BYTES), "path": f"{number}.jpg"}
    return {
        "sample_id": f"{subset}/{number}.jpg",
        "subset": subset,
        "image": image,
        "image_sha256": f"{number:064x}",
        "caption_long": long,
        "caption_short": short,
        "num_tokens_long": len(long.split()) + 12,
        "num_tokens_short": len(short.split()) + 3,
        "short_source": "RS5M",
        "long_source": "VHM",
        "recipe": "merge.v1",
        "license": "research",
        "attempts": 1,
        "warnings": [],
    }


def main() -> None:
    """Make the data, measure both, print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_023_688)
    parser.add_argument("--data", type=Path, help="folder that keeps the data for the next run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.data or Path(temporary)
        if not (folder / "data").is_dir():
            write_data(folder, arguments.rows)
        ours = measure([sys.executable, "-m", "lrs2m_builder.cli", "stats", str(folder)])
        theirs = measure([sys.executable, "-c", ALTERNATIVE, str(folder / "data")])
    figures = {"rows": arguments.rows, "seconds": round(ours[0], 1), "peak_mb": round(ours[1])}
    figures |= {"pandas_seconds": round(theirs[0], 1), "pandas_peak_mb": round(theirs[1])}
    print(json.dumps(figures | {"ratio": round(theirs[0] / ours[0], 2)}))


if __name__ == "__main__":
    main()
