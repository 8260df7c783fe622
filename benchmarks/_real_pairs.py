"""Real images with captions as Parquet for training: UCM-Captions, and RSICD's captions of AID's images."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.sources import open_source, read_samples
from lrs2m_builder.tokenizer import count_tokens

ROWS_PER_GROUP = 100


def write_ucm(real: Path, split: str, path: Path) -> int:
    """Write a split of UCM-Captions, one row per caption; returns the number of rows."""
    return _write("ucmerced", real, split, path)


def write_rsicd(real: Path, split: str, path: Path) -> int:
    """Write RSICD's captions of images that exist in AID under the same name; returns the number of rows.

    Two of its files were published under swapped names: "valid" is the test split, which is held out here.
    """
    name = {"train": "textaug_train_rsicd.jsonl", "test": "textaug_valid_rsicd.jsonl"}[split]
    lines = [json.loads(line) for line in (real / "rsicd" / "textaug" / name).read_text().splitlines()]
    images = {image.name: image for image in (real / "aid_150").rglob("*.jpg")}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "images").mkdir()
        entries = []
        for line in lines:
            if image := images.get(Path(line["filename"]).name):
                (folder / "images" / image.name).symlink_to(image.resolve())
                sentences = [{"raw": text} for text in line["captions"]]
                entries.append({"filename": image.name, "split": split, "sentences": sentences})
        (folder / "dataset_rsicd.json").write_text(json.dumps({"images": entries}))
        return _write("rsicd", folder, split, path)


def _write(source: str, data_dir: Path, split: str, path: Path) -> int:
    manifest = load_manifest(source).model_copy(update={"split": split, "rows": "caption"})
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(list(_rows(manifest, data_dir)))
    pq.write_table(table, path, compression="zstd", row_group_size=ROWS_PER_GROUP)
    return int(table.num_rows)


def _rows(manifest: Any, data_dir: Path) -> Iterator[dict[str, Any]]:
    for sample in read_samples(open_source(manifest, data_dir)):
        if sample.problem is None and isinstance(sample.image_path, Path):
            (text,) = sample.captions
            image = {"bytes": sample.image_path.read_bytes(), "path": sample.image_name}
            tokens = count_tokens(text)
            yield {
                "subset": sample.subset,
                "image": image,
                "caption_short": text,
                "num_tokens_short": tokens,
            }
