"""`lrs2m build`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lrs2m_builder.build.options import (
    DEFAULT_MAX_ATTEMPTS,
    DEFAULT_SHARD_SIZE,
    DEFAULT_STALL_MINUTES,
    BuildOptions,
    ImageStorage,
    VerifyOption,
    parse_part,
)
from lrs2m_builder.commands import BaseUrl, Engine, EngineOption, Json, print_json
from lrs2m_builder.commands._build_text import plan_text, report_text
from lrs2m_builder.commands._data_dir import default_data_dir
from lrs2m_builder.commands.complete import recipe_names, source_names
from lrs2m_builder.errors import UserError
from lrs2m_builder.terminal import say, show

if TYPE_CHECKING:
    from lrs2m_builder.build.calibrate import Prices


def build_command(
    recipe: Annotated[
        str,
        typer.Option(
            metavar="NAME", autocompletion=recipe_names, help="Shipped recipe, or the path of your own .py file."
        ),
    ],
    source: Annotated[
        str,
        typer.Option(
            metavar="NAME", autocompletion=source_names, help="Shipped source, or the path of your own .yaml file."
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            metavar="DIR|s3://BUCKET/PREFIX",
            help="Output: a new or empty folder or prefix, or an earlier run of the same build (docs/scale.md).",
        ),
    ],
    data_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of the source's annotations and images. 'sample' and tiles need none."
        ),
    ] = None,
    engine: Engine = "vllm",
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Hub name or folder of the model. By default the paper's for this source."),
    ] = None,
    base_url: BaseUrl = None,
    engine_option: EngineOption = None,
    sampling: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Sampling parameter over the recipe's, such as temperature=0.2."),
    ] = None,
    check: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=LEVEL",
            help="Level of a check, also of one that the recipe does not have: error, warn or off. all=LEVEL sets "
            "every check not named (docs/checks.md).",
        ),
    ] = None,
    images: Annotated[
        ImageStorage,
        typer.Option(metavar="embed|reference", help="Store the bytes of the images in the rows, or only their names."),
    ] = "embed",
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Read only the first N samples.")] = None,
    shard_size: Annotated[int, typer.Option(metavar="N", min=1, help="Samples per shard.")] = DEFAULT_SHARD_SIZE,
    max_attempts: Annotated[
        int, typer.Option(metavar="N", min=1, help="Maximum attempts per sample before it is rejected.")
    ] = DEFAULT_MAX_ATTEMPTS,
    max_reject_rate: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            min=0,
            max=1,
            help="Exit with code 3 if a larger share of samples is rejected (0 to 1).",
        ),
    ] = 0.5,
    seed: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=-(2**63),
            max=2**63 - 1,
            help="Seed of the build; each request derives its own from it, the sample id, the step and the attempt.",
        ),
    ] = 0,
    system: Annotated[
        str, typer.Option(metavar="TEXT", help="System prompt of every request. By default there is none.")
    ] = "",
    verify: Annotated[
        VerifyOption,
        typer.Option(
            metavar="off|warn|ask|cut",
            help="Judge each claim of a text by its image; if false: warn, ask again or cut (docs/verify.md).",
        ),
    ] = "off",
    verify_model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Judge of --verify. By default the model that writes the texts.")
    ] = None,
    verify_threshold: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND=P",
            help="Probability below which a claim of a kind is false (all=P: the rest), or a calibration.json.",
        ),
    ] = None,
    dry_run_: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Check settings, source, prompts and --out, print the plan and stop. No model is loaded.",
        ),
    ] = False,
    show_prompts_: Annotated[
        int,
        typer.Option(
            "--show-prompts",
            metavar="N",
            min=0,
            show_default=False,
            help="Print the requests of the first N samples as the model would see them.",
        ),
    ] = 0,
    calibrate_: Annotated[
        int,
        typer.Option(
            "--calibrate",
            metavar="N",
            min=0,
            show_default=False,
            help="With --dry-run: build N samples as a trial and predict hours and tokens of the rest.",
        ),
    ] = 0,
    price: Annotated[
        str | None,
        typer.Option(
            metavar="PROMPT/ANSWER",
            help="Price in dollars per million tokens, such as 0.15/0.60; --calibrate then predicts the cost.",
        ),
    ] = None,
    replicas: Annotated[
        str,
        typer.Option(
            metavar="N|auto",
            help="Engines that answer at once, placed by Ray; auto: one for each GPU, or group of GPUs that an engine "
            "needs, of the cluster (docs/scale.md).",
        ),
    ] = "1",
    ray_address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT|auto",
            help="Ray cluster of the replicas; auto: the one that runs here. By default one is started and ended.",
        ),
    ] = None,
    stall_minutes: Annotated[
        float,
        typer.Option(
            metavar="MINUTES",
            min=0.05,
            help="How long a replica may report nothing before it is replaced, and an object store may not answer "
            "before the build ends.",
        ),
    ] = DEFAULT_STALL_MINUTES,
    retry_rejected: Annotated[
        bool,
        typer.Option("--retry-rejected", help="Retry the rejected samples of finished shards."),
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Move an earlier build to OUT.1, OUT.2 ... and start again.")
    ] = False,
    part: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Build only every N-th shard, from the I-th on; all parts may run at the same time (docs/scale.md).",
        ),
    ] = None,
    scratch: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for files on their way to an object store. By default in the folder for temporary files.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Build the texts of a source.

    Reads the images and annotations of a source, has a model write the missing texts (or joins published ones), checks
    every text, and writes images and texts as Parquet shards. Run the same command again to resume after a stop. Engine
    options, dry runs and defaults: docs/build.md.

    Example:
        lrs2m build --recipe merge --source sample --out pairs
        lrs2m build --recipe short_to_long --source ucmerced --data-dir ucm --out out
    """
    from lrs2m_builder.build.calibrate import calibrate
    from lrs2m_builder.build.cluster import parse_cluster
    from lrs2m_builder.build.prepare import prepare
    from lrs2m_builder.build.preview import dry_run, show_prompts
    from lrs2m_builder.build.replicas import Replicas
    from lrs2m_builder.build.run import build
    from lrs2m_builder.checks import every_check, parse_levels
    from lrs2m_builder.declared.recipe import load_recipe
    from lrs2m_builder.engines import engine_module, price_share
    from lrs2m_builder.engines._options import parse_options
    from lrs2m_builder.verify.verdicts import parse_thresholds

    known_checks = {*load_recipe(recipe).check_names, *every_check()}
    module = engine_module(engine)
    engine_options = parse_options("--engine-option", engine_option or ())
    if base_url is not None:
        engine_options["base_url"] = base_url
    options = BuildOptions(
        recipe=recipe,
        source=source,
        data_dir=data_dir or default_data_dir(source),
        out_dir=out if "://" in out else Path(out),
        engine=engine,
        model=model,
        engine_options=engine_options,
        sampling=parse_options("--sampling", sampling or ()),
        checks=parse_levels(check or (), known_checks),
        images=images,
        limit=limit,
        shard_size=shard_size,
        max_attempts=max_attempts,
        seed=seed,
        system=system,
        verify=verify,
        verify_model=verify_model,
        thresholds=parse_thresholds(verify_threshold, "--verify-threshold") if verify_threshold else {},
        retry_rejected=retry_rejected,
        restart=restart,
        part=parse_part(part) if part is not None else None,
        scratch=scratch,
        stall_minutes=stall_minutes,
    )
    if calibrate_ and not dry_run_:
        raise UserError("--calibrate needs --dry-run: it predicts a build and writes nothing to --out")
    prices = _prices(price) if price else None
    if dry_run_ or show_prompts_:
        prepared = prepare(options, module, needs_model=dry_run_)
        result: dict[str, Any] = {**dry_run(prepared), "price_share": price_share(module)}
        if show_prompts_:
            result["prompts"] = show_prompts(prepared, module, show_prompts_)
        if calibrate_:
            result["forecast"] = asdict(calibrate(prepared, module, calibrate_, prices))
        print_json(result) if as_json else show(plan_text(result))
        return
    cluster = parse_cluster(replicas, ray_address, stall_minutes, options)
    if cluster:
        with Replicas(cluster, module) as replicas_:
            report = build(options, replicas_)
    else:
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


def _prices(text: str) -> Prices:
    from lrs2m_builder.build.calibrate import Prices

    try:
        prompt, answer = (float(part) for part in text.split("/"))
    except ValueError as error:
        raise UserError(
            f"--price {text}: write PROMPT/ANSWER in dollars per million tokens, such as 0.15/0.60"
        ) from error
    if not (0 <= prompt < float("inf") and 0 <= answer < float("inf")):
        raise UserError(f"--price {text}: a price is a finite number of at least 0")
    return Prices(prompt=prompt, answer=answer)
