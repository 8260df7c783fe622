"""`lrs2m audit` at the size of LRS2M: two million image hashes, and the captions of two million rows.

The alternatives, in the same run on a part of the data:
  hashes    every pair compared, also in numpy; its time is scaled up quadratically
  captions  datasketch's MinHash and LSH with as many hashes, if installed (pip install datasketch); scaled up by
            the number of texts

    python benchmarks/audit.py [--rows 2023688]
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from _merge_data import texts

from lrs2m_builder.dataset.audit.captions import MIN_SHARED, RUN_LENGTHS, caption_repeats
from lrs2m_builder.dataset.audit.pairs import MAX_DISTANCE, candidates
from lrs2m_builder.dataset.audit.words import NUM_HASHES

PART_HASHES, PART_TEXTS = 40_000, 20_000
HASHES_AN_IMAGE = 1.4  # measured on UC Merced: close calls are hashed in more than one turn
WORDS = {"caption_long": 65, "caption_short": 11}


def hashes_figures(num_rows: int) -> dict[str, float]:
    """Seconds for finding candidates among all hashes, and for comparing all pairs of a part."""
    values = np.random.default_rng(0).integers(0, 2**60, round(num_rows * HASHES_AN_IMAGE), dtype=np.uint64)
    start = time.perf_counter()
    for _ in candidates(values):
        pass
    ours = time.perf_counter() - start
    part = values[:PART_HASHES]
    start = time.perf_counter()
    for first in range(0, len(part), 16):
        np.nonzero(np.bitwise_count(part[first : first + 16, None] ^ part[None, first:]) <= MAX_DISTANCE)
    every = (time.perf_counter() - start) * (len(values) / len(part)) ** 2
    figures = {"hashes": len(values), "hashes_seconds": round(ours, 1), "every_pair_seconds": round(every)}
    return figures | {"hashes_ratio": round(every / ours, 1)}


def captions_figures(num_rows: int, column: str, folder: Path) -> dict[str, float]:
    """Seconds for finding repeated texts of a column, and for datasketch on a part of it."""
    path = folder / f"{column}.parquet"
    with pq.ParquetWriter(path, pa.schema([("sample_id", pa.string()), (column, pa.string())])) as writer:
        rows = texts(np.random.default_rng(0), num_rows, WORDS[column])
        for first in range(0, num_rows, 10_000):
            chunk = [next(rows) for _ in range(min(10_000, num_rows - first))]
            ids = [str(first + number) for number in range(len(chunk))]
            writer.write_table(pa.table({"sample_id": ids, column: chunk}))
    start = time.perf_counter()
    caption_repeats([path], column)
    ours = time.perf_counter() - start
    figures: dict[str, float] = {f"{column}_seconds": round(ours, 1)}
    part = list(texts(np.random.default_rng(1), PART_TEXTS, WORDS[column]))
    theirs = _datasketch_seconds(part, RUN_LENGTHS[column]) * num_rows / len(part)
    return figures | ({f"datasketch_{column}_seconds": round(theirs), f"{column}_ratio": round(theirs / ours, 1)})


def _datasketch_seconds(part: list[str], run_length: int) -> float:
    try:
        from datasketch import MinHash, MinHashLSH
    except ImportError:
        return float("nan")
    start = time.perf_counter()
    index = MinHashLSH(threshold=MIN_SHARED, num_perm=NUM_HASHES)
    for number, text in enumerate(part):
        words = text.lower().split()
        sketch = MinHash(num_perm=NUM_HASHES)
        sketch.update_batch([" ".join(words[i : i + run_length]).encode() for i in range(len(words) - run_length + 1)])
        index.query(sketch)
        index.insert(number, sketch)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_023_688)
    rows = parser.parse_args().rows
    figures = {"rows": rows, **hashes_figures(rows)}
    figures["hashes_peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    with tempfile.TemporaryDirectory() as folder:
        for column in WORDS:
            figures |= captions_figures(rows, column, Path(folder))
    figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
