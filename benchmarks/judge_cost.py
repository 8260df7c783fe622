"""What ten claims of an image cost beside one caption of 64 tokens, under vLLM, with and without what claims share.

Two models: a random Qwen2-VL of 256 image tokens per image, and the demo's captioner of 36. Each engine answers the
captions and the claims of as many images, none seen before. Cost is CPU time of all processes: seconds depend on who
else uses the machine.

    python benchmarks/judge_cost.py [--images 12] [--only random|demo]
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from PIL import Image
from transformers import AutoProcessor, Qwen2VLForConditionalGeneration

from captioner_training.random_model import make_random_model, qwen2_vl_config
from lrs2m_builder.declared.prompt import load_prompt
from lrs2m_builder.engines import vllm as vllm_engine
from lrs2m_builder.exchange import Request
from lrs2m_builder.sample import CAPTIONER
from lrs2m_builder.sample.drawing.scene import draw_scene
from lrs2m_builder.verify.judge import Judge

SIDE = 448  # pixels: 256 image tokens
ALIVE = 8  # images of which claims are asked at once
SEED = 6000
CAPTION = {"temperature": 0.0, "max_tokens": 64, "ignore_eos": True}
CLASSES = ("plane", "ship", "house", "car", "bridge", "pond", "tree", "road", "field", "storage tank")
SETTINGS: dict[str, dict[str, Any]] = {
    "blocks of 32": {"block_size": 32},
    "blocks of 128": {"block_size": 128},
    "no cache": {"block_size": 32, "enable_prefix_caching": False},
}


@dataclass(frozen=True, slots=True)
class Cost:
    """Of the captions or claims of one image."""

    cpu_s: float
    seconds: float


def make_model(folder: Path) -> Path:
    """A random Qwen2-VL of 40 million parameters."""
    make_random_model(folder, min_side=SIDE, max_side=SIDE)
    tokenizer = AutoProcessor.from_pretrained(folder).tokenizer
    config = qwen2_vl_config(tokenizer, width=512, inner=2048, layers=8, heads=8, kv_heads=2, vision=(384, 6))
    torch.manual_seed(0)
    model = Qwen2VLForConditionalGeneration(config).to(torch.bfloat16)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    print(f"random Qwen2-VL: {sum(parameter.numel() for parameter in model.parameters()) / 1e6:.0f} M parameters")
    return folder


def cpu_s() -> float:
    """Of this process and all that it started, so far."""
    own = psutil.Process()
    times = [member.cpu_times() for member in (own, *own.children(recursive=True))]
    return sum(one.user + one.system for one in times)


async def measured(ask: Callable[[int], Awaitable[object]], first: int, images: int) -> Cost:
    """The cost of one image."""
    began, cpu = time.perf_counter(), cpu_s()
    await asyncio.gather(*(ask(first + number) for number in range(images)))
    return Cost((cpu_s() - cpu) / images, (time.perf_counter() - began) / images)


async def compare(engine: Any, images: int, side: int) -> tuple[Cost, Cost, float]:
    """Captions, ten claims each, and the share of the claims' tokens that were computed before."""
    judge, alive = Judge(engine), asyncio.Semaphore(ALIVE)
    prompt = load_prompt("image_to_text.v1")
    parts = prompt.render(dict.fromkeys(prompt.variables, ""))

    def image(number: int) -> Image.Image:
        return draw_scene(SEED, number).image.resize((side, side))

    async def caption(number: int) -> None:
        await engine.generate(Request(f"c/{number}", 0, 0, "mllm", parts, number, CAPTION), image(number))

    async def claims(number: int) -> None:
        async with alive:
            await judge.ask(f"j/{number}", image(number), [f"There is a {name} in the image." for name in CLASSES])

    await measured(caption, 0, 2)
    await measured(claims, 2, 2)
    judge.num_prompt_tokens = judge.num_cached_tokens = 0
    captions = await measured(caption, 10, images)
    judged = await measured(claims, 10 + images, images)
    return captions, judged, judge.cached_share or 0.0


def run(name: str, model: Path, images: int, side: int) -> None:
    """Print a line per setting."""
    for setting, options in SETTINGS.items():
        engine = vllm_engine.load(str(model), "mllm", options)
        try:
            captions, claims, share = asyncio.run(compare(engine, images, side))
        finally:
            engine.close()
        print(
            f"{name}, {setting}: caption {captions.cpu_s:.3f} CPU s ({captions.seconds:.2f} s), ten claims "
            f"{claims.cpu_s:.3f} CPU s ({claims.seconds:.2f} s): {claims.cpu_s / captions.cpu_s:.2f} x (seconds: "
            f"{claims.seconds / captions.seconds:.2f} x), {share:.2f} of the claims' tokens computed before",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--only", choices=("random", "demo"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.only != "demo":
            run("random model, 256 image tokens", make_model(Path(folder) / "model"), options.images, SIDE)
        if options.only != "random":
            run("demo captioner, 36 image tokens", CAPTIONER, 4 * options.images, 224)


if __name__ == "__main__":
    main()
