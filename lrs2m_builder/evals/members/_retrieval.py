"""What both retrievals share: options, data, metrics, what guessing reaches, and how a result is shown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lrs2m_builder.evals.members._files import json_files, set_name, table_columns
from lrs2m_builder.evals.members._options import DataRevision, ImageColumn, Seed
from lrs2m_builder.evals.record import Picture, Prepared, Result, Run, Test

if TYPE_CHECKING:
    from lrs2m_builder.clip.model import Loaded

_KS = (1, 5, 10)
METRICS = {f"{way}_r{k}": f"{way.upper()} R@{k}" for way in ("t2i", "i2t") for k in _KS} | {"mr": "mR"}
# The first of these columns that the data have.
LONG_COLUMNS = ("caption_long", "long_caption", "caption", "text")
SHORT_COLUMNS = ("caption_short", "captions", "caption", "short_caption", "sentences", "raw", "text")
LONG_TOKENS = 70  # mean tokens; the paper's short texts have up to 66, its long ones 77 and more
SAMPLE = 200  # texts that are counted
DATA = "a Karpathy list, a build or other Parquet"

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="The --out of a build, Karpathy list in JSON, Parquet, folder of 'datasets', Hub data set, or source.",
    ),
]
Images = Annotated[
    Path | None,
    typer.Option("--images", metavar="DIR", help="Image folder of a Karpathy list, or data folder of a source."),
]
Split = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Split to evaluate. By default 'test' of a Karpathy list or a Hub data set, else all."
    ),
]
TextColumn = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Column of the texts in Parquet or Hub data. By default the first usual name found."
    ),
]


def prepare(
    text_columns: Sequence[str],
    data: Data,
    images: Images = None,
    split: Split = None,
    text_column: TextColumn = None,
    image_column: ImageColumn = None,
    data_revision: DataRevision = None,
    by_length: Annotated[
        bool, typer.Option("--by-length", help="Also report R@1 per text length (the data of Figure 3).")
    ] = False,
    robustness: Annotated[
        bool,
        typer.Option(
            "--robustness", help="Also evaluate with shuffled sentences, and without the first sentence of each text."
        ),
    ] = False,
    seed: Seed = 0,
) -> Prepared:
    """Read images and texts; `text_columns` are looked for if `text_column` names none."""
    from lrs2m_builder.evals.data import IMAGE_COLUMNS, Columns, fingerprint, read_images

    columns = Columns(
        image=(image_column,) if image_column else IMAGE_COLUMNS,
        texts=(text_column,) if text_column else text_columns,
    )
    pairs = read_images(data, columns, split=split, image_dir=images, revision=data_revision)

    def measure(loaded: Loaded, run: Run) -> tuple[Mapping[str, float], Mapping[str, Any]]:
        from lrs2m_builder.evals.retrieval import evaluate

        found, details = evaluate(
            loaded,
            pairs,
            lengths=by_length,
            robustness=robustness,
            seed=seed,
            workers=run.workers,
            show_progress=run.show_progress,
        )
        return found.metrics, details

    def figures(loaded: Loaded, result: Result, run: Run) -> list[Picture]:
        from lrs2m_builder.evals.figures.length_plot import draw_length_plot
        from lrs2m_builder.evals.figures.retrieval_sheet import draw_retrieval_sheet

        path = run.file(f"figure1_{result.evaluation}_{result.dataset}.png")
        draw_retrieval_sheet(loaded, pairs, path, show_progress=run.show_progress)
        pictures = [("Figure 1: retrieved images and texts", path)]
        if result.details.get("lengths"):
            path = run.file(f"figure3_{result.dataset}.png")
            draw_length_plot([result], path)
            pictures.append(("Figure 3: R@1 against the length of the text", path))
        return pictures

    return Prepared(
        dataset=Path(data).stem,
        num_images=len(pairs),
        num_texts=sum(len(each.texts) for each in pairs),
        settings={
            "data": {"path": data, "split": split, "columns": columns.texts, **fingerprint(pairs)},
            "by_length": by_length,
            "robustness": robustness,
            "seed": seed,
        },
        measure=measure,
        images=[each.image for each in pairs],
        draw_for_report=figures,
    )


def find_texts(
    evaluation: str, data: str, sets: Sequence[str], columns: Sequence[str], *, is_long: bool, **options: Any
) -> list[Test]:
    """The tests of texts that a path holds: of Karpathy lists, or if it has none, of a table.

    Args:
        columns: of a table; the first that it has is the texts'.
        is_long: whether long texts are looked for in lists, or short ones.
    """
    path = Path(data)
    lists = [(file, folder, mean) for file, folder, content in json_files(path) if (mean := _mean_tokens(content))]
    if lists:
        return [
            Test(evaluation, str(file), set_name(file, sets), {"images": folder, **options})
            for file, folder, mean in lists
            if (mean >= LONG_TOKENS) is is_long
        ]
    there = table_columns(path)
    found = [name for name in columns if name in there][:1]
    return [Test(evaluation, data, set_name(path, sets), {"text_column": name, **options}) for name in found]


def _mean_tokens(content: Any) -> float:
    """Mean tokens of the first texts of a Karpathy list; 0 if it is none or has none."""
    from lrs2m_builder.tokenizer import count_tokens

    images = content.get("images") if isinstance(content, dict) else None
    texts = list(islice(_texts(images), SAMPLE)) if isinstance(images, list) else []
    return sum(map(count_tokens, texts)) / len(texts) if texts else 0


def _texts(images: list[Any]) -> Iterator[str]:
    for image in images:
        sentences = image.get("sentences", ()) if isinstance(image, dict) else ()
        yield from (sentence["raw"] for sentence in sentences if isinstance(sentence, dict) and "raw" in sentence)


def by_chance(num_images: int, num_texts: int) -> dict[str, float]:
    """Mean recalls of random orders; if images have several texts, each is taken to have the mean number."""
    wrong = num_texts - num_texts / num_images  # of an image's own texts, the others
    recalls: dict[str, float] = {f"t2i_r{k}": min(1.0, k / num_images) for k in _KS}
    for k in _KS:
        miss = math.prod(max(wrong - j, 0.0) / (num_texts - j) for j in range(min(k, num_texts)))
        recalls[f"i2t_r{k}"] = 1 - miss
    return recalls | {"mr": sum(recalls.values()) / len(recalls)}


def lines(result: Result) -> list[str]:
    """The recalls in percent as a table for people."""
    details = result.details
    rows = {
        "": result.metrics,
        "95% from": {key: low for key, (low, _) in details["intervals"].items()},
        "95% to": {key: high for key, (_, high) in details["intervals"].items()},
        "chance": by_chance(result.num_images, result.num_texts),
        "ties won": details.get("optimistic"),
        "shuffled": details.get("permuted", {}).get("metrics"),
        "no first": details.get("without_first", {}).get("metrics"),
    }
    text = [
        f"{result.num_images} images, {result.num_texts} texts of {details['mean_tokens']:.1f} tokens, "
        f"{details['num_cut']} of them cut at {result.settings['context_length']}",
        "            text to image           image to text",
        "             R@1    R@5   R@10       R@1    R@5   R@10       mR",
        *(_row(title, metrics) for title, metrics in rows.items() if metrics),
    ]
    for each in details.get("lengths", ()):
        i2t = "" if each["i2t_r1"] is None else f", I2T R@1 {100 * each['i2t_r1']:.2f} of {each['num_images']}"
        text.append(
            f"  {each['low']:>3}-{each['high']} tokens: T2I R@1 {100 * each['t2i_r1']:.2f} of {each['num_texts']}{i2t}"
        )
    return text


def _row(title: str, metrics: Mapping[str, float]) -> str:
    cells = [f"{100 * metrics[f'{way}_r{k}']:7.2f}" for way in ("t2i", "i2t") for k in _KS]
    return f"{title:<9}{''.join(cells[:3])}   {''.join(cells[3:])}  {100 * metrics['mr']:7.2f}"
