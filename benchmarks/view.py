"""`lrs2m view` on the number of rows of LRS2M, with a small image in each: seconds to open, a page, a search, memory.

Every figure is measured through the web server, as in the page. A page is 24 rows and their 24 thumbnails; of the
gallery it is 60.

    python benchmarks/view.py [--rows 2023688] [--data DIR]
"""

from __future__ import annotations

import argparse
import io
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import stats
from PIL import Image

PAGES = 15
ROWS, GALLERY = 24, 60


def tile_bytes() -> bytes:
    """A JPEG small enough that two million of them fit on a disk."""
    buffer = io.BytesIO()
    Image.effect_noise((48, 48), 40).save(buffer, "JPEG", quality=30)
    return buffer.getvalue()


def get(url: str) -> Any:
    """The answer, parsed if it is JSON."""
    with urllib.request.urlopen(url) as answer:
        content = answer.read()
        return json.loads(content) if answer.headers["Content-Type"] == "application/json" else content


def page_seconds(base: str, selection: str, start: int, *, gallery: bool = False) -> float:
    """Seconds until a page's rows and images have been loaded one after the other."""
    begin = time.perf_counter()
    shown = f"count={GALLERY}&brief=1" if gallery else f"count={ROWS}"
    page = get(f"{base}api/rows?selection={selection}&start={start}&{shown}")
    for row in page["rows"]:
        get(f"{base}image?row={row['number']}&small=1")
    return time.perf_counter() - begin


def measure(folder: Path) -> dict[str, Any]:
    """Start the command, load random pages in two orders, search."""
    command = [sys.executable, "-m", "lrs2m_builder.cli", "view", str(folder), "--port", "0"]
    begin = time.perf_counter()
    process = psutil.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        base = process.stdout.readline().split()[-1]
        figures: dict[str, Any] = {"open_s": round(time.perf_counter() - begin, 1)}
        figures["memory_open_mb"] = round(process.memory_info().rss / 2**20)
        figures["rows"] = get(f"{base}api/about")["kinds"]["records"]["rows"]
        figures["open_cpu_s"] = round(sum(process.cpu_times()[:2]), 1)
        random_ = random.Random(0)
        for order in ("file", "long"):
            result = get(f"{base}api/select?order={order}")
            figures[f"select_{order}_s"] = result["seconds"]
            for name, size in {"page": ROWS, "gallery": GALLERY}.items():
                starts = [random_.randrange(result["total"] // size) * size for _ in range(PAGES)]
                times = [page_seconds(base, result["selection"], at, gallery=name == "gallery") for at in starts]
                figures[f"{name}_{order}_median_s"] = round(statistics.median(times), 3)
                figures[f"{name}_{order}_max_s"] = round(max(times), 3)
            begin = time.perf_counter()
            get(f"{base}api/charts?selection={result['selection']}")
            figures[f"charts_{order}_s"] = round(time.perf_counter() - begin, 3)
        for name, text in {"common": "with", "absent": "qqzzqq"}.items():
            result = get(f"{base}api/select?{urllib.parse.urlencode({'text': text})}")
            figures[f"search_{name}_s"] = round(result["seconds"], 2)
            figures[f"search_{name}_rows"] = result["total"]
        figures["memory_mb"] = round(process.memory_info().rss / 2**20)
    finally:
        process.terminate()
        process.wait()
    return figures


def main() -> None:
    """Make the data if missing, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_023_688)
    parser.add_argument("--data", type=Path, help="folder that keeps the data for the next run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.data or Path(temporary)
        if not (folder / "data").is_dir():
            stats.write_data(folder, arguments.rows, tile_bytes())
        print(json.dumps(measure(folder)))


if __name__ == "__main__":
    main()
