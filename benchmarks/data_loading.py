"""Images per second into training batches: our Parquet shards against WebDataset's tars and a folder of images.

The same real images of UC Merced with one caption each, the same 224 x 224 pixels and the same tokenizer; each reader
shuffles as by default and makes batches of 64 in the same number of worker processes. WebDataset and the folder are
read as open_clip does, with its transform to normalised floats. Ours are uint8 pixels, which the training normalises on
the device; a second line has them normalised on the CPU too. Times are wall-clock with workers, and process time
without workers (so that other work on the machine does not count).

    python benchmarks/data_loading.py [--workers 0] [--turns 3] [--repeat 2]
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import open_clip
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import webdataset
from _common import real_data
from _real_pairs import write_ucm
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from lrs2m_builder.clip.preprocess import Normalise, ToPixels
from lrs2m_builder.clip.tokens import Tokenize
from lrs2m_builder.train.data import Batches
from lrs2m_builder.train.index import read_index
from lrs2m_builder.train.loading import ReadSettings
from lrs2m_builder.train.mixture import Order

BATCH, SIDE = 64, 224
TOKENIZE, TRANSFORM = Tokenize(248), open_clip.image_transform(SIDE, is_train=False)
NORMALISE = Normalise()
Pairs = list[tuple[bytes, str]]


class Folder(Dataset[Any]):
    """Images as files in a folder, captions in a list: torchvision's ImageFolder with texts."""

    def __init__(self, folder: Path, texts: list[str]) -> None:
        self._folder, self._texts = folder, texts

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, str]:
        with Image.open(self._folder / f"{number:06d}.jpg") as image:
            return TRANSFORM(image), self._texts[number]


def collate(rows: list[tuple[torch.Tensor, str]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels and token ids, padded to 248 as in the published loaders."""
    return torch.stack([pixels for pixels, _ in rows]), TOKENIZE([text for _, text in rows])


def read_pairs(folder: Path, repeat: int) -> Pairs:
    """The images of a split, each once, with its first caption."""
    write_ucm(real_data(), "train", folder / "all.parquet")
    by_image: dict[str, tuple[bytes, str]] = {}
    for row in pq.read_table(folder / "all.parquet").to_pylist():
        by_image.setdefault(row["image"]["path"], (row["image"]["bytes"], row["caption_short"]))
    return list(by_image.values()) * repeat


def ours(pairs: Pairs, folder: Path, workers: int) -> Callable[[], Iterator[Any]]:
    """Our shards and our loader."""
    rows = [{"image": {"bytes": data, "path": ""}, "caption_short": text} for data, text in pairs]
    pq.write_table(pa.Table.from_pylist(rows), folder / "ours.parquet", row_group_size=100, compression="zstd")

    def batches() -> Iterator[Any]:
        reading = ReadSettings("short", TOKENIZE, ToPixels(SIDE), SIDE)
        order = Order(seed=0, batch_size=BATCH, pool_rows=4096, weights={})
        batches = Batches(read_index([folder / "ours.parquet"], ("caption_short",)), order, reading, workers=workers)
        return islice(batches, batches.num_batches(0))

    return batches


def normalised(batches: Callable[[], Iterator[Any]]) -> Callable[[], Iterator[Any]]:
    """The same batches as floats."""
    return lambda: (NORMALISE(batch.pixels_BCHW) for batch in batches())


def web_dataset(pairs: Pairs, folder: Path, workers: int) -> Callable[[], Iterable[Any]]:
    """WebDataset's tars and loader."""
    (folder / "tars").mkdir()
    with webdataset.ShardWriter(str(folder / "tars" / "%05d.tar"), maxcount=500, verbose=0) as writer:
        for number, (data, text) in enumerate(pairs):
            writer.write({"__key__": f"{number:06d}", "jpg": data, "txt": text})
    urls = sorted(map(str, (folder / "tars").iterdir()))
    return partial(_web_batches, urls, workers)


def _web_batches(urls: list[str], workers: int) -> Iterable[Any]:
    data = webdataset.WebDataset(urls, shardshuffle=len(urls), seed=0).shuffle(1000)
    data = data.map(_web_row).batched(BATCH, collation_fn=collate, partial=False)
    return DataLoader(data, batch_size=None, num_workers=workers)


def _web_row(row: dict[str, Any]) -> tuple[torch.Tensor, str]:
    with Image.open(io.BytesIO(row["jpg"])) as image:
        return TRANSFORM(image), row["txt"].decode()


def image_folder(pairs: Pairs, folder: Path, workers: int) -> Callable[[], Iterable[Any]]:
    """Files in a folder and a DataLoader."""
    (folder / "files").mkdir()
    for number, (data, _) in enumerate(pairs):
        (folder / "files" / f"{number:06d}.jpg").write_bytes(data)
    data = Folder(folder / "files", [text for _, text in pairs])
    return lambda: DataLoader(data, BATCH, shuffle=True, drop_last=True, num_workers=workers, collate_fn=collate)


def rate(batches: Callable[[], Iterable[Any]], workers: int) -> float:
    """Images per second, from opening the data to the last batch."""
    clock = time.perf_counter if workers else time.process_time
    started = clock()
    num_batches = sum(1 for _ in batches())
    return num_batches * BATCH / (clock() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=1, help="Repetitions of each image.")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        pairs = read_pairs(folder, arguments.repeat)
        makers = {"ours, Parquet": ours, "WebDataset": web_dataset, "image folder": image_folder}
        readers: dict[str, Any] = {name: make(pairs, folder, arguments.workers) for name, make in makers.items()}
        readers["ours, normalised"] = normalised(readers["ours, Parquet"])
        print(f"{len(pairs)} images of 256 pixels, {arguments.workers} workers")
        rates: dict[str, list[float]] = {name: [] for name in readers}
        for turn in range(arguments.turns):
            for name, reader in readers.items():
                rates[name].append(rate(reader, arguments.workers))
            print(
                f"turn {turn}: " + ", ".join(f"{name} {values[-1]:.0f}/s" for name, values in rates.items()), flush=True
            )
        own = rates["ours, Parquet"]
        for name, values in rates.items():
            ratio = statistics.median(rate / other for rate, other in zip(own, values, strict=True))
            print(f"{name:<16} {statistics.median(values):6.0f} images/s   ours / it {ratio:.2f}")


if __name__ == "__main__":
    main()
