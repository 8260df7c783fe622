"""`lrs2m build`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lrs2m_builder.build.options import (
    DEFAULT_MAX_ATTEMPTS,
    DEFAULT_SHARD_SIZE,
    DEFAULT_STALL_MINUTES,
    ImageStorage,
    VerifyOption,
    parse_part,
)
from lrs2m_builder.commands import BaseUrl, Engine, EngineOption, Json
from lrs2m_builder.commands.complete import build_file_names, recipe_names, source_names
from lrs2m_builder.errors import UserError
from lrs2m_builder.terminal import say

if TYPE_CHECKING:
    from lrs2m_builder.build.calibrate import Prices


def build_command(
    context: typer.Context,
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]",
            autocompletion=build_file_names,
            help="Settings file of one or several builds: a shipped name, or the path of your own .yaml file "
            "(docs/build.md).",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", autocompletion=recipe_names, help="Shipped recipe, or the path of your own .py file."
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", autocompletion=source_names, help="Shipped source, or the path of your own .yaml file."
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|s3://BUCKET/PREFIX",
            help="Output: a new or empty folder or prefix, or an earlier run of the same build (docs/scale.md).",
        ),
    ] = None,
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
    texts: Annotated[
        int,
        typer.Option(metavar="K", min=1, help="Long texts per image, of different seeds and prompts (docs/build.md)."),
    ] = 1,
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
    save: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the settings to a new file and stop; with --dry-run, check them too."),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(metavar="DIR|s3://BUCKET/PREFIX", help="Resume a build by the command that its build.json holds."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Build the texts of a source.

    Reads the images and annotations of a source, has a model write the missing texts (or joins published ones), checks
    every text, and writes images and texts as Parquet shards. Run the same command again to resume after a stop, or
    `--resume OUT`. Needs --recipe, --source and --out, or a settings file. Engine options, dry runs, settings files and
    defaults: docs/build.md.

    Example:
        lrs2m build --recipe merge --source sample --out pairs
        lrs2m build --recipe short_to_long --source ucmerced --data-dir ucm --out out
        lrs2m build build.yaml --limit 100
    """
    from lrs2m_builder.build.build_file import write_build_file
    from lrs2m_builder.commands._builds import RunFlags, run_all, run_one, settings_of

    if calibrate_ and not dry_run_:
        raise UserError("--calibrate needs --dry-run: it predicts a build and writes nothing to --out")
    if part is not None and save is not None:
        raise UserError("--save: --part is of one machine; give it beside the file")
    settings, is_list = settings_of(context, file, resume)
    if save is not None:
        write_build_file(save, settings)
        say(f"wrote {save}; run it with: lrs2m build {save}")
        if not dry_run_:
            return
    run = RunFlags(
        dry_run=dry_run_,
        show_prompts=show_prompts_,
        calibrate=calibrate_,
        prices=_prices(price) if price else None,
        part=parse_part(part) if part is not None else None,
        retry_rejected=retry_rejected,
        restart=restart,
        as_json=as_json,
    )
    code = run_all(settings, run) if is_list else run_one(settings[0], run)
    if code:
        raise typer.Exit(code)


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
