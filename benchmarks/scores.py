"""`--where` on a score of as many rows as LRS2M has, beside a plain one in the same run: seconds, CPU seconds, memory.

python benchmarks/scores.py [--rows 2023688] [--data DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import stats
from _common import measure

from lrs2m_builder.dataset.scores.table import RowScores, Scoring, text_sha256
from lrs2m_builder.dataset.scores.write import score_table

SELECT = """
import sys
from pathlib import Path
from lrs2m_builder.dataset.selection import Filters, select
print(select(Path(sys.argv[1]), Filters(where=sys.argv[2])).num_rows)
"""
PLAIN, SCORED = "num_tokens_long > 70", "num_tokens_long > 70 AND clip_long_rank < 0.1"
BOTH = f"{SCORED} AND clip_short_rank < 0.5"
COLUMNS = {f"{text}_{name}": pa.float32() for text in ("short", "long") for name in ("cosine", "rank")}


def write_scores(folder: Path) -> float:
    """Score every row at random; returns seconds."""
    start, random = time.perf_counter(), np.random.default_rng(0)
    with score_table(folder, Scoring("clip", "clip", {}, COLUMNS), print) as table:
        for file in table.files:
            texts = pq.read_table(file.path, columns=["sample_id", "caption_short", "caption_long"]).to_pylist()
            with table.open_shard(file) as shard:
                shard.keep(
                    [
                        RowScores(
                            row["sample_id"],
                            text_sha256(row["caption_short"]),
                            text_sha256(row["caption_long"]),
                            dict(zip(COLUMNS, random.random(len(COLUMNS)).tolist(), strict=True)),
                        )
                        for row in texts
                    ]
                )
                shard.finish()
    return time.perf_counter() - start


def main() -> None:
    """Make the data and its scores, filter plainly and by scores, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_023_688)
    parser.add_argument("--data", type=Path, help="folder that keeps the data for the next run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.data or Path(temporary)
        if not (folder / "data").is_dir():
            stats.write_data(folder, arguments.rows)
        figures: dict[str, float] = {"rows": arguments.rows}
        if not (folder / "scores").is_dir():
            figures["write_seconds"] = round(write_scores(folder), 1)
        for name, where in (("plain", PLAIN), ("one_text", SCORED), ("both_texts", BOTH)):
            before = os.times()
            seconds, peak = measure([sys.executable, "-c", SELECT, str(folder), where])
            after = os.times()
            cpu = after.children_user - before.children_user + after.children_system - before.children_system
            figures |= {f"{name}_seconds": round(seconds, 1), f"{name}_cpu_seconds": round(cpu, 1)}
            figures |= {f"{name}_peak_mb": peak}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
