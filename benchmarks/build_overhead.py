"""The overhead of a whole build over the engine alone.

Ours:    everything that `lrs2m build` does once the engine is up: read the source, decode and resize images, render
         prompts, check answers, journal them, count tokens, write Parquet.
Ceiling: raw AsyncLLM on the same requests, same window, images decoded and resized in advance and held in memory.

Both run alternately on one engine with its caches emptied before each turn; the ratio is taken per turn.

    python benchmarks/build_overhead.py [--turns 4] [--images 1680] [--tokens 64]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from _common import one_row_an_image, real_data

from captioner_training.random_model import make_random_model
from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.prepare import Prepared, prepare
from lrs2m_builder.build.report import write_report
from lrs2m_builder.build.runner import Runner
from lrs2m_builder.build.settings import claimed
from lrs2m_builder.build.stages import next_move
from lrs2m_builder.build.telemetry import Display, Meter
from lrs2m_builder.build.work import ShardWork, find_work, open_works
from lrs2m_builder.engines import vllm as vllm_engine
from lrs2m_builder.exchange import Request
from lrs2m_builder.images.load import decode


async def opened(prepared: Prepared) -> AsyncIterator[ShardWork]:
    """The shards of a build that is not begun yet."""
    for work in open_works(prepared, find_work(prepared)):
        yield work


async def time_ours(engine: Any, options: BuildOptions, folder: Path) -> tuple[float, dict[str, float]]:
    """Captions per second of a build, and the bottlenecks of its speed."""
    meter = Meter()
    start = time.perf_counter()
    prepared = prepare(options, vllm_engine)
    with claimed(prepared.store, prepared.settings, prepared.plan.manifest.origin):
        display = Display(prepared.num_samples, 0, "ours")
        runner = Runner(prepared.plan, prepared.passes[0], engine, meter, display)
        await runner.run(opened(prepared), folder / "telemetry.jsonl")
        display.close()
        report = write_report(prepared, meter, stopped=False)
    assert report.records == prepared.num_samples, report
    return report.records / (time.perf_counter() - start), meter.bound_shares()


async def time_ceiling(engine: Any, prepared: Prepared, images: list[Any]) -> float:
    """Captions per second of raw AsyncLLM."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    requests = [next_move(prepared.plan, sample, ()) for sample in prepared.samples()]
    window = asyncio.Semaphore(engine.max_in_flight)
    core, chat = engine._core, engine._chat

    async def one(request: Request, image: Any, turn: str) -> None:
        async with window:
            prompt = {"prompt": chat.prompt_text(request), "multi_modal_data": {"image": image}}
            params = SamplingParams(**request.sampling, seed=request.seed, output_kind=RequestOutputKind.FINAL_ONLY)
            (inputs,) = await core.renderer.render_cmpl_async([prompt])
            async for _ in core.generate(inputs, params, request_id=f"{turn}:{request.request_id}"):
                pass

    start = time.perf_counter()
    await asyncio.gather(
        *(one(r, i, f"{start}") for r, i in zip(requests, images, strict=True) if isinstance(r, Request))
    )
    return len(requests) / (time.perf_counter() - start)


async def run(engine: Any, arguments: argparse.Namespace, folder: Path, model: Path) -> None:
    def options(out: str, limit: int) -> BuildOptions:
        return BuildOptions(
            recipe="short_to_long",
            source=str(one_row_an_image(folder)),
            data_dir=real_data(),
            out_dir=folder / out,
            model=str(model),
            sampling={"max_tokens": arguments.tokens, "ignore_eos": True},
            checks={"all": "warn"},
            limit=limit,
        )

    prepared = prepare(options("unused", arguments.images), vllm_engine)
    images = [decode(s.image_path, engine.image_size) for s in prepared.samples() if s.image_path]
    await time_ours(engine, options("warm-up", 64), folder)
    ratios = []
    for turn in range(arguments.turns):
        for name in ("ours", "ceiling") if turn % 2 else ("ceiling", "ours"):
            await engine._core.reset_mm_cache()
            await engine._core.reset_prefix_cache()
            if name == "ours":
                ours, bound = await time_ours(engine, options(f"turn-{turn}", arguments.images), folder)
            else:
                ceiling = await time_ceiling(engine, prepared, images)
        ratios.append(ours / ceiling)
        shares = ", ".join(f"{name} {share:.0%}" for name, share in bound.items())
        print(
            f"turn {turn}: ours {ours:.1f}, ceiling {ceiling:.1f} captions/s, ratio {ours / ceiling:.3f}; "
            f"bound by {shares}",
            flush=True,
        )
    print(
        f"ratio ours / ceiling: median {statistics.median(ratios):.3f} of {len(ratios)} turns "
        f"(min {min(ratios):.3f}, max {max(ratios):.3f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--turns", type=int, default=4, help="an even number: the second of a turn has a small advantage"
    )
    parser.add_argument("--images", type=int, default=1680)
    parser.add_argument("--tokens", type=int, default=64)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        model = make_random_model(Path(name) / "model")
        engine = vllm_engine.load(str(model), "mllm", {})
        try:
            asyncio.run(run(engine, arguments, Path(name), model))
        finally:
            engine.close()


if __name__ == "__main__":
    main()
