"""Peak memory of a build with 2,000 and with 20,000 samples: it must not grow with the data.

Each build is a separate process with the real engine; resident memory of the process (and of its children, the
engine) is read every tenth of a second. Real images, several invented captions each, few tokens per answer.

    python benchmarks/memory.py [--small 2000] [--large 20000]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import yaml
from _common import real_data

from captioner_training.random_model import make_random_model
from lrs2m_builder.declared.shipped import find


def make_source(folder: Path, num_samples: int) -> Path:
    """UC Merced's real images with enough captions each for that number of samples."""
    manifest = yaml.safe_load(find("manifests", "ucmerced").read_text())
    original = json.loads((real_data() / "ucm_captions" / "dataset_ucm.json").read_text())["images"]
    num_captions = -(-num_samples // len(original))
    images = [
        {"filename": image["filename"], "sentences": [{"raw": f"View {i} of the scene ."} for i in range(num_captions)]}
        for image in original
    ]
    folder.mkdir()
    (folder / "dataset.json").write_text(json.dumps({"images": images}))
    (folder / "Images").symlink_to((real_data() / "ucmerced_jpg").resolve())
    path = folder / "ucmerced.yaml"
    path.write_text(yaml.safe_dump(manifest))
    return path


def peak_memory(source: Path, out: Path, model: Path, num_samples: int) -> tuple[float, float, float]:
    """(peak MB of the build's process, peak MB with its children, seconds)."""
    command = [sys.executable, "-m", "lrs2m_builder.cli", "build", "--recipe", "short_to_long", "--source", str(source)]
    command += ["--data-dir", str(source.parent), "--out", str(out), "--model", str(model), "--limit", str(num_samples)]
    command += ["--check", "all=warn", "--sampling", "max_tokens=8"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    own = both = 0
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            resident = watched.memory_info().rss
            own = max(own, resident)
            both = max(both, resident + sum(child.memory_info().rss for child in watched.children(recursive=True)))
        except psutil.NoSuchProcess:
            continue
        time.sleep(0.1)
    out_text, error = process.communicate()
    if process.returncode != 0 or f"{num_samples} samples = {num_samples} records" not in out_text:
        raise SystemExit(f"the build failed: {out_text}\n{error}")
    return own / 1e6, both / 1e6, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=2000)
    parser.add_argument("--large", type=int, default=20_000)
    arguments = parser.parse_args()
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = make_random_model(folder / "model")
        peaks = {}
        for size in (arguments.small, arguments.large):
            source = make_source(folder / f"source-{size}", size)
            own, both, seconds = peak_memory(source, folder / f"out-{size}", model, size)
            peaks[size] = own
            print(f"{size} samples: build {own:.0f} MB, with its engine {both:.0f} MB, {seconds:.0f} s", flush=True)
    print(f"ratio large / small: {peaks[arguments.large] / peaks[arguments.small]:.3f}")


if __name__ == "__main__":
    main()
