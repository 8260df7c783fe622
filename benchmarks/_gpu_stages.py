"""The stages of `gpu.py`; each runs in a process of its own and tells its figures as they come."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from _training_step import make_step
from transformers import CLIPConfig, CLIPModel

from lrs2m_builder.train.loading import Batch
from lrs2m_builder.train.step import Towers

Figures = dict[str, float | str]
Tell = Callable[[Figures], None]
LONG, SHORT, CONTEXT = 128, 32, 248  # tokens: the paper's mean lengths, padded to multiples of 32
# Dense bf16 TFLOP/s of the data sheets, by a part of the device's name.
PEAKS = {"B200": 2250, "H200": 989, "H100": 989, "A100": 312, "L40S": 362, "L40": 181, "4090": 165, "A10": 125}


@dataclass(frozen=True, slots=True)
class Shape:
    """A CLIP: layers and width of both towers, and its images."""

    image: tuple[int, int]
    text: tuple[int, int]
    patch: int
    embed: int
    side: int = 224

    def make(self) -> CLIPModel:
        """The model with random weights."""

        def tower(layers: int, width: int) -> dict[str, Any]:
            sizes = {"hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers}
            return sizes | {"num_attention_heads": width // 64, "hidden_act": "quick_gelu"}

        text = tower(*self.text) | {"max_position_embeddings": CONTEXT, "bos_token_id": 49406, "eos_token_id": 49407}
        vision = tower(*self.image) | {"image_size": self.side, "patch_size": self.patch}
        return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=self.embed))

    def forward_flops(self) -> float:
        """Multiplications and additions of one image with its long and its short text."""
        patches = (self.side // self.patch) ** 2
        patch_embedding = patches * 2 * 3 * self.patch**2 * self.image[1]
        texts = sum(_tower_flops(*self.text, tokens) for tokens in (LONG, SHORT))
        return _tower_flops(*self.image, patches + 1) + patch_embedding + texts


def _tower_flops(layers: int, width: int, tokens: int) -> float:
    return layers * tokens * (24 * width**2 + 4 * tokens * width)


SHAPES = {
    "B/16": Shape((12, 768), (12, 512), 16, 512),
    "L/14": Shape((24, 1024), (12, 768), 14, 768),
    "dry": Shape((2, 64), (2, 64), 8, 32, side=32),
}


def machine(dry_run: bool, tell: Tell) -> None:
    """The device, and how fast it multiplies large bf16 matrices."""
    is_gpu = torch.cuda.is_available() and not dry_run
    name = torch.cuda.get_device_name() if is_gpu else "CPU"
    figures: Figures = {"device": name, "torch": torch.__version__, "cores": float(os.cpu_count() or 1)}
    if is_gpu:
        figures["memory_gb"] = round(torch.cuda.get_device_properties(0).total_memory / 1e9, 1)
    tell(figures)
    size = 8192 if is_gpu else 256
    one = torch.randn(size, size, dtype=torch.bfloat16, device="cuda" if is_gpu else "cpu")
    seconds = _seconds(lambda: one @ one, 20 if is_gpu else 3)
    tell({"matmul_tflops": round(2 * size**3 / seconds / 1e12, 3)})


def peak_tflops(device: str) -> float | None:
    """The data sheet's dense bf16 rate of a device; None if it is not known here."""
    return next((float(peak) for part, peak in PEAKS.items() if part in device), None)


def training(name: str, dry_run: bool, tell: Tell, *, batch_sizes: tuple[int, ...]) -> None:
    """Steps of `lrs2m train` on random pairs: images/s, memory, and the share of the device's peak.

    Everything of a step is in it but the reading of data: the copy of the pixels to the device, both towers, the loss,
    the backward pass, the optimizer, and the losses read a step late. With and without torch.compile.
    """
    shape = SHAPES["dry" if dry_run else name]
    device = torch.device("cuda" if torch.cuda.is_available() and not dry_run else "cpu")
    sizes = (4,) if dry_run else batch_sizes
    for is_compiled in (False,) if dry_run else (False, True):
        for size in sizes:
            label = f"batch {size}{', compiled' if is_compiled else ''}"
            try:
                tell({"case": label, **_steps(shape, size, device, is_compiled)})
            except torch.OutOfMemoryError:
                tell({"case": label, "error": "out of memory"})
            if device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()


def _steps(shape: Shape, batch_size: int, device: torch.device, is_compiled: bool) -> Figures:
    torch.manual_seed(0)
    model = shape.make().to(device).train()
    if is_compiled:
        model.vision_model.compile()
        model.text_model.compile()
    towers = Towers(model, has_bias=False)
    towers.normalise.to(device)
    batch = _random_batch(shape.side, batch_size)
    batch = batch.pin_memory() if device.type == "cuda" else batch
    autocast: Callable[[], AbstractContextManager[Any]] = partial(torch.autocast, device.type, dtype=torch.bfloat16)
    step = make_step(towers, batch, autocast, device)

    for _ in range(3):
        step()
    seconds = _seconds(step, 10 if device.type == "cuda" else 2)
    tflops = 3 * shape.forward_flops() * batch_size / seconds / 1e12
    figures: Figures = {"images_per_s": round(batch_size / seconds, 1), "tflops": round(tflops, 3)}
    if device.type == "cuda":
        figures["peak_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 1)
        if peak := peak_tflops(torch.cuda.get_device_name()):
            figures["mfu"] = round(tflops / peak, 3)
    return figures


def _random_batch(side: int, size: int) -> Batch:
    generator = torch.Generator().manual_seed(0)

    def ids(length: int) -> torch.Tensor:
        words = torch.randint(1000, 40000, (size, length), generator=generator)
        words[:, 0], words[:, -1] = 49406, 49407
        return words

    pixels = torch.randint(0, 256, (size, side, side, 3), dtype=torch.uint8, generator=generator).movedim(-1, 1)
    return Batch(pixels, ids(LONG), ids(SHORT), *(torch.arange(size) for _ in range(3)))


def _seconds(work: Callable[[], object], repeats: int) -> float:
    """Seconds of one call; a GPU is waited for at both ends only."""
    wait = torch.cuda.synchronize if torch.cuda.is_available() else nullcontext
    work()
    wait()
    started = time.perf_counter()
    for _ in range(repeats):
        work()
    wait()
    return (time.perf_counter() - started) / repeats


def loading(dry_run: bool, tell: Tell) -> None:
    """Images per second from Parquet to batches, for the number of workers: what a GPU can be fed with."""
    from lrs2m_builder.clip.preprocess import ToPixels
    from lrs2m_builder.clip.tokens import Tokenize
    from lrs2m_builder.train.data import Batches
    from lrs2m_builder.train.index import read_index
    from lrs2m_builder.train.loading import ReadSettings
    from lrs2m_builder.train.mixture import Order

    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_pairs(folder / "pairs.parquet", 64 if dry_run else 4096)
        index = read_index([folder], ("caption_long", "caption_short"))
        for workers in (1,) if dry_run else sorted({1, 4, min(8, cores), cores}):
            order = Order(seed=0, batch_size=8 if dry_run else 64, pool_rows=4096, weights={})
            batches = Batches(
                index, order, ReadSettings("both", Tokenize(CONTEXT), ToPixels(224), 224), workers=workers
            )
            reader, number = iter(batches), batches.num_batches(0)
            next(reader)  # the workers have started
            started = time.perf_counter()
            for _ in range(number - 1):
                next(reader)
            rate = (number - 1) * order.batch_size / (time.perf_counter() - started)
            tell({"case": f"{workers} workers", "images_per_s": round(rate, 1)})


def _write_pairs(path: Path, number: int) -> None:
    """Pairs with JPEGs of 256 pixels, about as large as real ones."""
    import io

    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    random = np.random.default_rng(0)
    rows = []
    for index in range(number):
        coarse = random.integers(0, 256, (48, 48, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(coarse).resize((256, 256), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        words = " ".join(f"road {word}" for word in random.integers(0, 99, 40))
        texts = {"caption_long": f"{index} {words}.", "caption_short": f"road {index}."}
        rows.append({"image": {"bytes": buffer.getvalue(), "path": f"{index}.jpg"}, **texts})
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=100)


def building(dry_run: bool, tell: Tell) -> None:
    """A whole build against raw AsyncLLM on the same engine: Qwen2-VL's 7B shape with dummy weights."""
    from _gpu_model import TOKENS, allowed_tokens, make_shape_of_7b
    from build_overhead import time_ceiling, time_ours

    from captioner_training.random_model import make_random_model
    from lrs2m_builder.build.options import BuildOptions
    from lrs2m_builder.build.prepare import prepare
    from lrs2m_builder.engines import vllm as vllm_engine
    from lrs2m_builder.images.load import decode
    from lrs2m_builder.sample.formats import write_sample_source

    number, tokens = (8, 8) if dry_run else (1024, TOKENS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = write_sample_source("world", folder / "scenes", number, 0)
        model = make_random_model(folder / "model") if dry_run else make_shape_of_7b(folder / "model")
        given = {} if dry_run else {"load_format": "dummy", "max_model_len": 2048}

        def options(out: str, limit: int) -> BuildOptions:
            return BuildOptions(
                recipe="short_to_long",
                source=str(manifest),
                data_dir=folder / "scenes",
                out_dir=folder / out,
                model=str(model),
                sampling={"max_tokens": tokens, "ignore_eos": True, "allowed_token_ids": allowed_tokens(model)},
                checks={"all": "warn"},
                limit=limit,
            )

        started = time.perf_counter()
        engine = vllm_engine.load(str(model), "mllm", given)
        tell({"start_s": round(time.perf_counter() - started, 1)})

        async def turns() -> None:
            prepared = prepare(options("unused", number), vllm_engine)
            images = [decode(each.image_path, engine.image_size) for each in prepared.samples() if each.image_path]
            await time_ours(engine, options("warm-up", max(4, number // 8)), folder)
            for turn in range(1 if dry_run else 2):
                rates = {}
                for which in ("ceiling", "ours") if turn % 2 else ("ours", "ceiling"):
                    await engine._core.reset_mm_cache()
                    await engine._core.reset_prefix_cache()
                    if which == "ours":
                        rates[which], _ = await time_ours(engine, options(f"turn-{turn}", number), folder)
                    else:
                        rates[which] = await time_ceiling(engine, prepared, images)
                rounded = {f"{which}_captions_per_s": round(rate, 2) for which, rate in rates.items()}
                tell({"case": f"turn {turn}", **rounded, "ratio": round(rates["ours"] / rates["ceiling"], 3)})

        try:
            asyncio.run(turns())
        finally:
            engine.close()


STAGES: dict[str, Callable[[bool, Tell], None]] = {
    "machine": machine,
    "train B/16": partial(training, "B/16", batch_sizes=(64, 256, 1024)),
    "train L/14": partial(training, "L/14", batch_sizes=(64, 256)),
    "loading": loading,
    "build 7B": building,
}
