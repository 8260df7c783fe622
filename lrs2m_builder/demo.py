"""`lrs2m demo`: drawn scenes through the real pipeline and the real engine, with a model whose words are random."""

from __future__ import annotations

import textwrap
from pathlib import Path

from lrs2m_builder.build import build
from lrs2m_builder.engines import engine_module
from lrs2m_builder.errors import MissingExtraError, Stopped, UserError
from lrs2m_builder.files import disk_errors
from lrs2m_builder.prepare import BuildOptions
from lrs2m_builder.sample.formats import MANIFEST, write_sample_source
from lrs2m_builder.sample.random_model import make_random_model

NUM_SCENES = 36
NUM_SHOWN = 3


def demo(out_dir: Path) -> None:
    """Build a small data set in `out_dir` and print what `datasets` reads from it.

    Raises:
        UserError: vLLM or datasets is not installed, or the folder cannot be written.
    """
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise MissingExtraError("the demo", "vllm-cpu", error) from error
    print(f"drawing {NUM_SCENES} scenes and making a random Qwen2-VL of 0.7M parameters in {out_dir} ...", flush=True)
    scenes = out_dir / "scenes"
    manifest = scenes / MANIFEST
    if not manifest.is_file():
        with disk_errors(out_dir):
            out_dir.mkdir(parents=True, exist_ok=True)
            if any(out_dir.iterdir()):
                raise UserError(f"--out {out_dir}: holds other files; give a new or empty folder")
        write_sample_source("karpathy", scenes, NUM_SCENES)
    model = make_random_model(out_dir / "random-model")
    options = BuildOptions(
        recipe="short_to_long",
        source=str(manifest),
        data_dir=scenes,
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
