"""`lrs2m demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo_command(
    out: Annotated[Path, typer.Option(help="Folder to write to; must be new or an earlier demo's.")] = Path("demo"),
    engine: Annotated[str, typer.Option(help="What runs the model: vllm or transformers.")] = "vllm",
    scenes: Annotated[int, typer.Option(min=1, help="How many scenes are drawn.")] = 24,
) -> None:
    """Draw scenes and build them by all four recipes with a small model: no GPU, no network, no data."""
    from lrs2m_builder.demo import demo

    demo(out, engine=engine, num_scenes=scenes)
