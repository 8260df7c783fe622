"""`lrs2m build`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from lrs2m_builder.build.options import DEFAULT_MAX_ATTEMPTS, DEFAULT_SHARD_SIZE, BuildOptions, Images
from lrs2m_builder.commands import Json, print_json
from lrs2m_builder.commands._build_text import plan_text, report_text
from lrs2m_builder.errors import UserError
from lrs2m_builder.terminal import say, show

if TYPE_CHECKING:
    from lrs2m_builder.build.calibrate import Prices


def build_command(
    recipe: Annotated[str, typer.Option(help="A shipped recipe's name, or the path of your own .py file.")],
    source: Annotated[str, typer.Option(help="A shipped manifest's name, or the path of your own .yaml file.")],
    out: Annotated[Path, typer.Option(help="Folder to write to; an interrupted build there goes on.")],
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder that holds the source's annotation file and images; only sample needs none."),
    ] = None,
    engine: Annotated[str, typer.Option(help="What answers the requests: vllm, transformers or openai.")] = "vllm",
    model: Annotated[
        str | None, typer.Option(help="Hub name or folder of the model; default: the paper's for this source.")
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(help="Address of an OpenAI-compatible endpoint, such as http://127.0.0.1:8000/v1.")
    ] = None,
    engine_option: Annotated[
        list[str] | None,
        typer.Option(help="KEY=VALUE for the engine, such as max_model_len=8192 or max_pixels=500000; repeatable."),
    ] = None,
    sampling: Annotated[
        list[str] | None,
        typer.Option(help="KEY=VALUE over the recipe's sampling, such as temperature=0.2; repeatable."),
    ] = None,
    check: Annotated[
        list[str] | None,
        typer.Option(help="NAME=error|warn|off over the recipe's checks; all=LEVEL for every other one; repeatable."),
    ] = None,
    images: Annotated[
        str, typer.Option(help="embed: rows hold their images; reference: their names alone, no image is copied.")
    ] = "embed",
    limit: Annotated[int | None, typer.Option(min=1, help="Read only the first N samples.")] = None,
    shard_size: Annotated[int, typer.Option(min=1, help="Samples a shard.")] = DEFAULT_SHARD_SIZE,
    max_attempts: Annotated[
        int, typer.Option(min=1, help="Answers asked for at most before a sample is rejected.")
    ] = DEFAULT_MAX_ATTEMPTS,
    max_reject_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Exit with 3 if a larger share was rejected.")
    ] = 0.5,
    seed: Annotated[int, typer.Option(min=-(2**63), max=2**63 - 1, help="Every request's seed follows from it.")] = 0,
    system: Annotated[str, typer.Option(help="System prompt for every request; default: none.")] = "",
    dry_run_: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, print the plan, ask no model.")
    ] = False,
    show_prompts_: Annotated[
        int, typer.Option("--show-prompts", min=0, help="Print the first N requests as the model would see them.")
    ] = 0,
    calibrate_: Annotated[
        int, typer.Option("--calibrate", min=0, help="With --dry-run: build N samples, predict time, tokens, cost.")
    ] = 0,
    price: Annotated[
        str | None, typer.Option(help="PROMPT/ANSWER: dollars per million tokens for --calibrate, such as 0.15/0.60.")
    ] = None,
    retry_rejected: Annotated[bool, typer.Option(help="Ask again for what finished shards rejected.")] = False,
    restart: Annotated[bool, typer.Option(help="Set an earlier build aside (OUT.1, ...) and begin anew.")] = False,
    as_json: Json = False,
) -> None:
    """Make the texts of a source and write them as Parquet shards; run it again to go on after a stop."""
    from lrs2m_builder.build.calibrate import calibrate
    from lrs2m_builder.build.prepare import prepare
    from lrs2m_builder.build.preview import dry_run, show_prompts
    from lrs2m_builder.build.run import build
    from lrs2m_builder.checks import parse_levels
    from lrs2m_builder.declared.recipe import load_recipe
    from lrs2m_builder.engines import engine_module
    from lrs2m_builder.engines._options import parse_options

    known_checks = load_recipe(recipe).check_names
    engine_options = parse_options("--engine-option", engine_option or ())
    if base_url is not None:
        engine_options["base_url"] = base_url
    options = BuildOptions(
        recipe=recipe,
        source=source,
        data_dir=data_dir or _drawn(source),
        out_dir=out,
        engine=engine,
        model=model,
        engine_options=engine_options,
        sampling=parse_options("--sampling", sampling or ()),
        checks=parse_levels(check or (), known_checks),
        images=_images(images),
        limit=limit,
        shard_size=shard_size,
        max_attempts=max_attempts,
        seed=seed,
        system=system,
        retry_rejected=retry_rejected,
        restart=restart,
    )
    module = engine_module(engine)
    if calibrate_ and not dry_run_:
        raise UserError("--calibrate goes with --dry-run: it predicts a build and writes nothing to --out")
    prices = _prices(price) if price else None
    if dry_run_ or show_prompts_:
        prepared = prepare(options, module, needs_model=dry_run_)
        result: dict[str, Any] = dry_run(prepared)
        if show_prompts_:
            result["prompts"] = show_prompts(prepared, module, show_prompts_)
        if calibrate_:
            result["forecast"] = asdict(calibrate(prepared, module, calibrate_, prices))
        print_json(result) if as_json else show(plan_text(result))
        return
    report = build(options, module)
    print_json(asdict(report)) if as_json else show(report_text(report))
    if report.stopped:
        raise typer.Exit(130)
    if report.reject_rate > max_reject_rate:
        say(
            f"{report.reject_rate:.0%} of the samples were rejected, more than --max-reject-rate {max_reject_rate:g}; "
            f"{report.out_dir}/rejected says why"
        )
        raise typer.Exit(3)


def _drawn(source: str) -> Path | None:
    """The folder of a source that is drawn at first use; None for every other one."""
    from lrs2m_builder.sample.world import SOURCE, drawn_world

    return drawn_world() if source == SOURCE else None


def _images(text: str) -> Images:
    if text not in get_args(Images):
        raise UserError(f"--images {text}: write {' or '.join(get_args(Images))}")
    return cast(Images, text)


def _prices(text: str) -> Prices:
    from lrs2m_builder.build.calibrate import Prices

    try:
        prompt, answer = (float(part) for part in text.split("/"))
    except ValueError as error:
        raise UserError(
            f"--price {text}: write PROMPT/ANSWER in dollars per million tokens, such as 0.15/0.60"
        ) from error
    if not (0 <= prompt < float("inf") and 0 <= answer < float("inf")):
        raise UserError(f"--price {text}: a price is a number from 0 on")
    return Prices(prompt=prompt, answer=answer)
