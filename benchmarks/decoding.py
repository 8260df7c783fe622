"""From a JPEG to 224 x 224 pixels: the time of decoders and resizers on one core, and where they differ from Pillow.

Real images, in memory, decoded whole; process time, so that other work on the machine does not count. The difference
is the share of values that are not Pillow's, and the largest one of them in levels of 255. simplejpeg and imagecodecs
are measured if they are installed.

    python benchmarks/decoding.py [--images 100] [--turns 5]
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import io
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
import torchvision
from _common import real_data
from PIL import Image

from lrs2m_builder.clip.preprocess import ToPixels
from lrs2m_builder.images.load import decode
from lrs2m_builder.schema import ImageBytes

SIDE = 224
Step = Callable[[Any], Any]


def pillow(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def by_torchvision(data: bytes) -> Any:
    raw = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    return torchvision.io.decode_jpeg(raw, mode=torchvision.io.ImageReadMode.RGB).permute(1, 2, 0).numpy()


def decoders() -> dict[str, Step]:
    """Bytes -> uint8 array height x width x 3."""
    found: dict[str, Step] = {
        "Pillow": pillow,
        "ours (images.decode)": lambda data: np.asarray(decode(ImageBytes(data))),
        "torchvision": by_torchvision,
        "OpenCV": lambda data: cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB),
    }
    if importlib.util.find_spec("simplejpeg"):
        simplejpeg = importlib.import_module("simplejpeg")
        found["simplejpeg"] = lambda data: simplejpeg.decode_jpeg(data, "RGB")
    if importlib.util.find_spec("imagecodecs"):
        found["imagecodecs"] = importlib.import_module("imagecodecs").jpeg8_decode
    return found


def resizers() -> dict[str, Step]:
    """Pillow's image, square -> uint8 array 224 x 224 x 3; the conversions between libraries are part of the work."""

    def by_torch(image: Image.Image) -> Any:
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
        resized = torch.nn.functional.interpolate(pixels, (SIDE, SIDE), mode="bicubic", antialias=True)
        return resized[0].permute(1, 2, 0).numpy()

    return {
        "Pillow, bicubic": lambda image: np.array(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)),
        "ours (ToPixels)": lambda image: ToPixels(SIDE)(image).permute(1, 2, 0).numpy(),
        "torch, bicubic": by_torch,
        "OpenCV, area": lambda image: cv2.resize(np.asarray(image), (SIDE, SIDE), interpolation=cv2.INTER_AREA),
    }


def measure(steps: Mapping[str, Step], inputs: Sequence[Any], turns: int) -> None:
    """Print the milliseconds of each way, the best of several turns, and its difference from the first one."""
    reference = [next(iter(steps.values()))(each) for each in inputs]
    best = dict.fromkeys(steps, float("inf"))
    for _ in range(turns):
        for name, step in steps.items():
            started = time.process_time()
            for each in inputs:
                step(each)
            best[name] = min(best[name], (time.process_time() - started) / len(inputs))
    first = next(iter(best.values()))
    for name, seconds in best.items():
        pairs = zip((steps[name](each) for each in inputs), reference, strict=True)
        off = np.concatenate([np.abs(one.astype(int) - other).ravel() for one, other in pairs])
        share = (off > 0).mean()
        difference = f"{share:7.3%} differ, at most {off.max()}"
        print(f"  {name:<22} {seconds * 1e3:6.3f} ms   x {first / seconds:4.2f}   {difference}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    files = sorted((real_data() / "ucmerced_jpg").rglob("*.jpg"))
    small = [path.read_bytes() for path in files[:: max(1, len(files) // arguments.images)][: arguments.images]]
    for side in (256, 600):  # UC Merced as it is, and enlarged to the size of AID
        data = small if side == 256 else [enlarged(each, side) for each in small[: arguments.images // 4]]
        print(f"{len(data)} JPEGs of {side} pixels: decode")
        measure(decoders(), data, arguments.turns)
        images = [square(Image.open(io.BytesIO(each)).convert("RGB")) for each in data]
        print(f"{side} -> {SIDE} pixels: resize")
        measure(resizers(), images, arguments.turns)


def square(image: Image.Image) -> Image.Image:
    """The upper left square: `ToPixels` crops the others, and a plain resize squashes them."""
    side = min(image.size)
    return image.crop((0, 0, side, side))


def enlarged(data: bytes, side: int) -> bytes:
    """The image as a JPEG of another size."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
