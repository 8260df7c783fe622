"""`lrs2m demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lrs2m_builder.terminal import show

NEXT = """\
The scenes are drawn and the words are those of a model of a few million parameters, made for this demo alone. The
engine, the checks and the files are those of a real build. With a real model, on a GPU:
  lrs2m sources                                  what can be built
  lrs2m sources ucmerced                         where to get it, and its licence
  lrs2m build --recipe short_to_long --source ucmerced --data-dir DIR --out OUT
  lrs2m stats OUT --paper"""


def demo_command(
    out: Annotated[Path, typer.Option(help="Folder to write to; must be new or an earlier demo's.")] = Path("demo"),
    engine: Annotated[str, typer.Option(help="What runs the model: vllm or transformers.")] = "vllm",
    scenes: Annotated[int, typer.Option(min=1, help="How many scenes are drawn.")] = 24,
) -> None:
    """Draw scenes and build them by all four recipes with a small model: no GPU, no network, no data."""
    from lrs2m_builder.commands.stats import stats_lines
    from lrs2m_builder.dataset.stats import read_stats
    from lrs2m_builder.sample.demo import demo

    result = demo(out, engine=engine, num_scenes=scenes)
    show("\n" + "\n".join(stats_lines(read_stats(result.built), {})))
    for recipe, report in result.reports.items():
        rejected = sum(report.rejections.values())
        show(f"{recipe}: {report.samples} samples = {report.records} records + {rejected} rejections")
    show(f"\nPictures with their texts: {result.page.absolute()}\n\n{NEXT}")
