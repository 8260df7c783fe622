"""The command line: parses, calls one function, prints.

Exit codes: 0 done; 1 a bug (traceback); 2 a bad setting or input (one line); 3 done, but with more rejections than
`--max-reject-rate`; 130 stopped by a signal, the same command goes on.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from lrs2m_builder import __version__
from lrs2m_builder.build import Report, build
from lrs2m_builder.checks import parse_levels
from lrs2m_builder.engines import engine_module
from lrs2m_builder.engines.base import parse_options
from lrs2m_builder.errors import Stopped, UserError
from lrs2m_builder.manifest import load_manifest
from lrs2m_builder.prepare import DEFAULT_MAX_ATTEMPTS, DEFAULT_SHARD_SIZE, BuildOptions, prepare
from lrs2m_builder.preview import dry_run, show_prompts
from lrs2m_builder.recipe import load_recipe
from lrs2m_builder.survey import describe, list_sources, survey

app = typer.Typer(
    name="lrs2m",
    help="Build checked remote-sensing image data with a short and a long text each.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output and nothing else there.")]


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        print(f"lrs2m-builder {__version__}")
        raise typer.Exit


@app.command("build")
def build_command(
    recipe: Annotated[str, typer.Option(help="A shipped recipe's name, or the path of your own .py file.")],
    source: Annotated[str, typer.Option(help="A shipped manifest's name, or the path of your own .yaml file.")],
    data_dir: Annotated[Path, typer.Option(help="Folder that holds the source's annotation file and images.")],
    out: Annotated[Path, typer.Option(help="Folder to write to; an interrupted build there goes on.")],
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
    limit: Annotated[int | None, typer.Option(min=1, help="Read only the first N samples.")] = None,
    shard_size: Annotated[int, typer.Option(min=1, help="Samples a shard.")] = DEFAULT_SHARD_SIZE,
    max_attempts: Annotated[
        int, typer.Option(min=1, help="Answers asked for at most before a sample is rejected.")
    ] = DEFAULT_MAX_ATTEMPTS,
    max_reject_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Exit with 3 if a larger share was rejected.")
    ] = 0.5,
    seed: Annotated[int, typer.Option(help="Every request's seed follows from it.")] = 0,
    dry_run_: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, print the plan, ask no model.")
    ] = False,
    show_prompts_: Annotated[
        int, typer.Option("--show-prompts", min=0, help="Print the first N requests as the model would see them.")
    ] = 0,
    retry_rejected: Annotated[bool, typer.Option(help="Ask again for what finished shards rejected.")] = False,
    restart: Annotated[bool, typer.Option(help="Set an earlier build aside (OUT.1, ...) and begin anew.")] = False,
    as_json: Json = False,
) -> None:
    """Make the texts of a source and write them as Parquet shards; run it again to go on after a stop."""
    known_checks = load_recipe(recipe).check_names
    engine_options = parse_options("--engine-option", engine_option or ())
    if base_url is not None:
        engine_options["base_url"] = base_url
    options = BuildOptions(
        recipe=recipe,
        source=source,
        data_dir=data_dir,
        out_dir=out,
        engine=engine,
        model=model,
        engine_options=engine_options,
        sampling=parse_options("--sampling", sampling or ()),
        checks=parse_levels(check or (), known_checks),
        limit=limit,
        shard_size=shard_size,
        max_attempts=max_attempts,
        seed=seed,
        retry_rejected=retry_rejected,
        restart=restart,
    )
    module = engine_module(engine)
    if dry_run_ or show_prompts_:
        prepared = prepare(options, module)
        result: dict[str, Any] = dry_run(prepared)
        if show_prompts_:
            result["prompts"] = show_prompts(prepared, module, show_prompts_)
        print(json.dumps(result, ensure_ascii=False) if as_json else _plan_text(result))
        return
    report = build(options, module)
    print(json.dumps(asdict(report), ensure_ascii=False) if as_json else _report_text(report))
    if report.stopped:
        raise typer.Exit(130)
    if report.reject_rate > max_reject_rate:
        print(
            f"{report.reject_rate:.0%} of the samples were rejected, more than --max-reject-rate {max_reject_rate:g}; "
            f"{report.out_dir}/rejected says why",
            file=sys.stderr,
        )
        raise typer.Exit(3)


@app.command("sources")
def sources_command(
    name: Annotated[str | None, typer.Argument(help="A source to describe, or to read with --data-dir.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Read the source in this folder for real.")] = None,
    as_json: Json = False,
) -> None:
    """List the sources; describe one; or read one for real and report what is there and what is missing."""
    if name is None:
        if data_dir is not None:
            raise UserError("--data-dir: say which source to read there: lrs2m sources NAME --data-dir DIR")
        manifests = list_sources()
        if as_json:
            print(json.dumps({m.name: m.model_dump(mode="json") for m in manifests}, ensure_ascii=False))
            return
        for manifest in manifests:
            print(f"{manifest.name:<12} {manifest.title} ({manifest.viewpoint})")
        return
    manifest = load_manifest(name)
    if data_dir is None:
        print(
            json.dumps(manifest.model_dump(mode="json"), ensure_ascii=False)
            if as_json
            else "\n".join(describe(manifest))
        )
        return
    result = survey(manifest, data_dir, show_progress=sys.stderr.isatty())
    if as_json:
        print(json.dumps(result.as_dict(), ensure_ascii=False))
        return
    print("\n".join(describe(manifest)))
    print(f"  read       {result.annotations}, images as {result.layout}")
    print(f"  images     {result.images} listed, {result.images_found} found")
    print(f"  captions   {result.captions}, {result.captions - result.distinct_captions} repeated within their image")
    print(f"  samples    {result.samples} ({manifest.rows} rows); splits {_pairs(result.splits)}")
    if result.join:
        print(f"  join       {result.join['annotations']}: {result.join['matched']} images in both")
        for where in ("only_in_first", "only_in_second"):
            found = result.join[where]
            print(f"             {found['count']} {where.replace('_', ' ')}, such as {'; '.join(found['examples'])}")
    if result.identical_images["count"]:
        examples = "; ".join(result.identical_images["examples"])
        print(f"  identical  {result.identical_images['count']} images, such as {examples}")
    for reason, problem in result.problems.items():
        print(f"  {reason}: {problem['count']}, such as {'; '.join(problem['examples'])}")


@app.command("demo")
def demo_command(
    out: Annotated[Path, typer.Option(help="Folder to write to; must be new or an earlier demo's.")] = Path("demo"),
) -> None:
    """Draw a few dozen tiles and caption them with a random model under real vLLM: no GPU, no network, no data."""
    from lrs2m_builder.demo import demo

    demo(out)


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        code = app(standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    except (KeyboardInterrupt, Stopped):
        print("stopped; run the same command to go on", file=sys.stderr)
        code = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader went away: nothing to tell it
        code = 1
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print("error: standard output: no space left", file=sys.stderr)
        code = 2
    except Exception as error:
        # What the option parser raises about wrong usage; its class has moved between releases.
        if not hasattr(error, "format_message"):
            raise
        print(f"error: {error.format_message()} (try: lrs2m --help)", file=sys.stderr)
        code = 2
    if code == 130:
        sys.stderr.flush()
        os._exit(130)  # an engine that is still starting has threads that would hold the process
    sys.exit(code if isinstance(code, int) else 0)


def _report_text(report: Report) -> str:
    lines = [
        f"{report.out_dir}: {report.samples} samples = {report.records} records + "
        f"{sum(report.rejections.values())} rejections, {report.shards} shards"
        + (" so far; stopped, run the same command to go on" if report.stopped else "")
    ]
    lines += [f"  {count:>6} {reason}" for reason, count in sorted(report.rejections.items(), key=lambda i: -i[1])]
    if report.run["requests"]:
        shares = _pairs({name: f"{share:.0%}" for name, share in report.run["bound_by"].items()})
        lines.append(
            f"  this run: {report.run['requests']} answers in {report.run['seconds']:.0f} s, "
            f"{report.run['captions_per_s']:.1f} captions/s, {report.run['tokens_per_s']:.0f} tokens/s"
            + (f"; bound by {shares}" if shares else "")
        )
    return "\n".join(lines)


def _plan_text(plan: dict[str, Any]) -> str:
    lines = [
        f"{plan['subset']}: {plan['samples']} samples of {plan['images']} images ({plan['image_layout']}), "
        f"{plan['shards']} shards, {plan['samples_left']} samples left to do",
    ]
    if plan["unusable"]:
        lines.append(f"  unusable   {_pairs(plan['unusable'])}")
    for step in plan["steps"]:
        lines.append(f"  writes     {step['writes']} with {step['model']} ({step['revision']}) on {plan['engine']}")
        lines.append(f"             prompt {step['prompt']}, {_pairs(step['sampling'])}")
        lines.append(f"             checks {_pairs(step['checks'])}; at most {plan['max_attempts']} attempts")
    lines.append(f"  out        {plan['out']}")
    for prompt in plan.get("prompts", ()):
        lines.append(f"\n--- {prompt['sample_id']}")
        if "problem" in prompt:
            lines.append(prompt["problem"])
            continue
        size = (
            f"{prompt['image']} as {prompt['image_size'][0]} x {prompt['image_size'][1]}, " if prompt["image"] else ""
        )
        tokens = "tokens not known" if prompt["num_prompt_tokens"] is None else f"{prompt['num_prompt_tokens']} tokens"
        lines.append(f"{size}{tokens}\n{prompt['prompt']}")
    return "\n".join(lines)


def _pairs(mapping: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in mapping.items())


if __name__ == "__main__":
    main()
