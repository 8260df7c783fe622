"""The commands, one per file: an option of a command is a keyword of the function that does the work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from lrs2m_builder.commands.complete import engines
from lrs2m_builder.terminal import say
from lrs2m_builder.text import printable

DataSetArgument = Annotated[
    Path,
    typer.Argument(metavar="DATA", help="The --out of a build, or any folder of Parquet files with the same columns."),
]
StoredDataArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATA|s3://BUCKET/PREFIX",
        help="The --out of a build, or any folder of Parquet files with the same columns.",
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        autocompletion=engines,
        help="What runs the model: vllm, transformers (without vLLM), openai (any OpenAI-compatible endpoint) or "
        "openai-batch (the same at half the price, within a day).",
    ),
]
EngineOption = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="Option of the engine, such as max_model_len=8192 (docs/build.md)."),
]
ImageDir = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the images that the rows only name.")]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Address of the endpoint, such as http://127.0.0.1:8000/v1; OPENAI_API_KEY holds its key.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]


def say_only_first(data: Path) -> None:
    """Say that of several long texts of a row only the first is judged, if there are any."""
    from lrs2m_builder.dataset.tables import count_several

    if count := count_several(data):
        say(f"{count:,} rows have several long texts (captions_long); only the first, caption_long, is judged")


def print_json(result: Any) -> None:
    """Print one JSON object on standard output."""
    print(printable(json.dumps(result, ensure_ascii=False)))


def pairs(mapping: dict[str, Any]) -> str:
    """A mapping in one line: "error 3, warn 2"."""
    return ", ".join(f"{key} {value}" for key, value in mapping.items())
