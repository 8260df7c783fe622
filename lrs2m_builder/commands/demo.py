"""`lrs2m demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo_command(
    out: Annotated[Path, typer.Option(help="Folder to write to; must be new or an earlier demo's.")] = Path("demo"),
) -> None:
    """Draw a few dozen scenes and caption them with a random model under real vLLM: no GPU, no network, no data."""
    from lrs2m_builder.demo import demo

    demo(out)
