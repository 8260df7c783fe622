"""Several replicas: captions per second against one process, a simulated build of days, and memory.

    python benchmarks/scale.py simulation [--runs 5]   # the real driver in virtual time, 64 replicas that fail
    python benchmarks/scale.py replicas [--engine vllm]    # one process, 1 and 2 replicas on Ray, the same work
    python benchmarks/scale.py memory [--small 20000] [--large 200000]

`simulation`: efficiency = (work / rate of all replicas together) / time until the last shard is there, so the start of
the engines counts as lost. The build's own driver and dispatcher run on a clock that jumps (`_virtual_cluster.py`).
8 captions/s per replica, shards that differ by 15 % in cost, 5 % of the replicas at half speed; each dies every four
hours on average and takes four minutes to start. A static split is the same with one dispatcher per replica
(`--part I/N`).
`replicas`: the scripted engine waits and computes nothing, so that two of them fit on two cores.
`memory`: resident memory of the driver and of each replica at its highest.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from _scripted_engine import ScriptedModule, Timed
from _virtual_cluster import World, simulate
from PIL import Image

from lrs2m_builder.build import build
from lrs2m_builder.build.cluster import Cluster
from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.replicas import Replicas
from lrs2m_builder.engines._base import EngineModule

NUM_REPLICAS, RATE = 64, 8.0
SIMULATED = ((2_000_000, 2000), (2_000_000, 1000), (2_000_000, 500), (100_000_000, 2000))  # samples, shard size


def draw(num_samples: int, shard_size: int, seed: int) -> tuple[list[float], list[float]]:
    """Captions per second of each machine, and the cost of each shard in captions."""
    random_ = random.Random(seed)
    rates = [
        RATE * max(0.3, random_.gauss(1, 0.05)) * (0.5 if random_.random() < 0.05 else 1) for _ in range(NUM_REPLICAS)
    ]
    costs = [shard_size * max(0.3, random_.gauss(1, 0.15)) for _ in range(-(-num_samples // shard_size))]
    return rates, costs


def efficiencies(
    num_samples: int, shard_size: int, seed: int, *, is_static: bool, world: World
) -> tuple[float, float, int]:
    """(share of the ideal rate, the same without the first start of the engines, deaths) of one simulated build."""
    rates, costs = draw(num_samples, shard_size, seed)
    ideal = sum(costs) / sum(rates)
    if is_static:
        parts = [simulate([rate], costs[i :: len(rates)], world, seed * 1000 + i) for i, rate in enumerate(rates)]
        seconds, deaths = max(seconds for seconds, _ in parts), sum(deaths for _, deaths in parts)
    else:
        seconds, deaths = simulate(rates, costs, world, seed)
    return ideal / seconds, ideal / (seconds - world.start_s), deaths


def simulation(arguments: argparse.Namespace) -> None:
    """Print the efficiency of pull and of a static split."""
    worlds = {"": World(), ", nothing fails": World(mean_life_s=None)}
    for num_samples, shard_size in SIMULATED[: 3 if arguments.short else None]:
        runs = arguments.runs if num_samples < 10_000_000 else 1
        for suffix, world in worlds.items():
            for name, is_static in (("pull", False), ("static split", True)):
                found = [
                    efficiencies(num_samples, shard_size, s, is_static=is_static, world=world) for s in range(runs)
                ]
                shares, started, deaths = zip(*found, strict=True)
                label = f"{num_samples / 1e6:g}M, shards of {shard_size}: {name}{suffix}"
                print(
                    f"{label:<52} {statistics.mean(shares):.3f} of ideal ({min(shares):.3f} to {max(shares):.3f}), "
                    f"{statistics.mean(started):.3f} after the start, {statistics.mean(deaths):.0f} deaths",
                    flush=True,
                )


def make_source(folder: Path, num_samples: int) -> Path:
    """A Parquet file with that many captions of one small image, and its manifest."""
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (40, 30), (90, 120, 60)).save(folder / "images" / "one.jpg")
    writer = None
    for start in range(0, num_samples, 10_000):
        numbers = range(start, min(start + 10_000, num_samples))
        names, texts = ["one.jpg"] * len(numbers), [f"Field number {number} beside a road ." for number in numbers]
        table = pa.table({"image": names, "key": [f"{number:09d}" for number in numbers], "caption": texts})
        writer = writer or pq.ParquetWriter(folder / "rows.parquet", table.schema)
        writer.write_table(table)
    if writer:
        writer.close()
    manifest = {
        **{"name": "toy", "title": "Toy", "rows": "image", "viewpoint": "aerial", "texts_from": "made-up captions"},
        **{"format": "hf_dataset", "options": {"name_column": "key"}},
        "files": {"annotations": ["rows.parquet"], "images": ["images/{filename}"]},
        **{"license": "CC0-1.0", "homepage": "none", "citation": "none", "get": "made here"},
    }
    path = folder / "toy.yaml"
    path.write_text(yaml.safe_dump(manifest))
    return path


def options(source: Path, out_dir: Path, shard_size: int, model: str, engine: str) -> BuildOptions:
    """A build of the source whose rows name their images."""
    return BuildOptions(
        recipe="short_to_long",
        source=str(source),
        data_dir=source.parent,
        out_dir=out_dir,
        engine=engine,
        model=model,
        images="reference",
        checks={"all": "warn"},
        shard_size=shard_size,
        sampling={"max_tokens": 16, "ignore_eos": True} if engine == "vllm" else {},
    )


def replicas(arguments: argparse.Namespace) -> None:
    """Print captions per second of one process and of replicas, from the first engine's start to the last answer."""
    number = arguments.samples or (400 if arguments.engine == "vllm" else 4000)
    module: EngineModule = ScriptedModule(0.5, 16)
    model = "scripted"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = make_source(folder / "source", number)
        if arguments.engine == "vllm":
            from captioner_training.random_model import make_random_model
            from lrs2m_builder.engines import vllm

            module, model = vllm, str(make_random_model(folder / "model"))
        rates: dict[int, float] = {}
        for count in (0, 1, 2):
            times = folder / f"times-{count}"
            times.mkdir()
            timed: EngineModule = Timed(module, times)  # type: ignore[assignment]
            engines = Replicas(Cluster(count), timed) if count else timed
            report = build(options(source, folder / f"out-{count}", number // 20, model, arguments.engine), engines)
            assert report.samples == number, report
            lines = [json.loads(path.read_text()) for path in times.iterdir()]
            seconds = max(line["ended"] for line in lines) - min(line["started"] for line in lines)
            rates[count] = sum(line["answers"] for line in lines) / seconds
            what = f"{count} replicas" if count else "one process"
            print(
                f"{what:<12} {rates[count]:7.1f} captions/s, {rates[count] / rates[0]:.2f} of one process", flush=True
            )


@contextmanager
def watched(peaks: dict[str, float]) -> Iterator[None]:
    """Note the highest resident memory of this process and of the replicas below it, in MB."""
    ended = threading.Event()

    def look() -> None:
        own = psutil.Process()
        while not ended.wait(0.5):
            peaks["driver"] = max(peaks["driver"], own.memory_info().rss / 2**20)
            for process in own.children(recursive=True):
                try:
                    if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::Replica"):
                        peaks["replica"] = max(peaks["replica"], process.memory_info().rss / 2**20)
                except psutil.Error:
                    continue

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def memory(arguments: argparse.Namespace) -> None:
    """Print the memory of a small and of a large build with two replicas."""
    found: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        for number in (arguments.small, arguments.large):
            source = make_source(Path(name) / f"source-{number}", number)
            peaks: dict[str, float] = defaultdict(float)
            started = time.monotonic()
            with watched(peaks):
                engines = Replicas(Cluster(2), ScriptedModule(0.0, 64))
                report = build(options(source, Path(name) / f"out-{number}", 2000, "scripted", "scripted"), engines)
            assert report.samples == number, report
            found[number] = peaks
            print(
                f"{number} samples: driver {peaks['driver']:.0f} MB, replica {peaks['replica']:.0f} MB, "
                f"{time.monotonic() - started:.0f} s",
                flush=True,
            )
    for role in ("driver", "replica"):
        print(f"{role}: large / small {found[arguments.large][role] / found[arguments.small][role]:.3f}")


PARTS = {"simulation": simulation, "replicas": replicas, "memory": memory}


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], default=["simulation", "replicas"])
    parser.add_argument("--runs", type=int, default=5, help="Simulated builds of two million samples, per line.")
    parser.add_argument("--short", action="store_true", help="Do not simulate a hundred million samples.")
    parser.add_argument("--engine", choices=("scripted", "vllm"), default="scripted")
    parser.add_argument("--samples", type=int, help="Samples for `replicas`.")
    parser.add_argument("--small", type=int, default=20_000)
    parser.add_argument("--large", type=int, default=200_000)
    arguments = parser.parse_args(given)
    for part in arguments.parts:
        PARTS[part](arguments)


if __name__ == "__main__":
    main()
