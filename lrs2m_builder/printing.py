"""What the commands print for people: results as lines of text; `--json` prints the same results whole."""

from __future__ import annotations

from typing import Any

from lrs2m_builder.build import Report
from lrs2m_builder.manifest import Manifest
from lrs2m_builder.survey import Survey
from lrs2m_builder.terminal import duration


def survey_lines(manifest: Manifest, result: Survey) -> list[str]:
    """What a source was found to hold."""
    lines = [
        f"  read       {result.annotations}, images {f'as {result.layout}' if result.layout else 'in it'}",
        f"  images     {result.images} listed, {result.images_found} found",
        f"  captions   {result.captions}, {result.captions - result.distinct_captions} repeated within their image",
        f"  samples    {result.samples} ({manifest.rows} rows); splits {_pairs(result.splits)}",
    ]
    if result.join:
        lines.append(f"  join       {result.join['annotations']}: {result.join['matched']} images in both")
        for where in ("only_in_first", "only_in_second"):
            found = result.join[where]
            lines.append(
                f"             {found['count']} {where.replace('_', ' ')}, such as {'; '.join(found['examples'])}"
            )
    if result.found_by_another_name["count"]:
        examples = "; ".join(result.found_by_another_name["examples"])
        lines.append(f"  renamed    {result.found_by_another_name['count']} images, such as {examples}")
    if result.identical_images["count"]:
        examples = "; ".join(result.identical_images["examples"])
        lines.append(f"  identical  {result.identical_images['count']} images, such as {examples}")
    for reason, problem in result.problems.items():
        lines.append(f"  {reason}: {problem['count']}, such as {'; '.join(problem['examples'])}")
    return lines


def report_text(report: Report) -> str:
    """What a build came to."""
    lines = [
        f"{report.out_dir}: {report.samples} samples = {report.records} records + "
        f"{sum(report.rejections.values())} rejections, {report.shards} shards"
        + (" so far; stopped, run the same command to go on" if report.stopped else "")
    ]
    if report.kept_answers:
        lines.append(f"  {report.kept_answers} answers of {report.kept_samples} samples are kept in the journal")
    lines += [f"  {count:>6} {reason}" for reason, count in sorted(report.rejections.items(), key=lambda i: -i[1])]
    if report.run["requests"]:
        shares = _pairs({name: f"{share:.0%}" for name, share in report.run["bound_by"].items()})
        lines.append(
            f"  this run: {report.run['requests']} answers in {report.run['seconds']:.0f} s, "
            f"{report.run['captions_per_s']:.1f} captions/s, {report.run['tokens_per_s']:.0f} tokens/s"
            + (f"; bound by {shares}" if shares else "")
        )
        if thoughts := report.run.get("thoughts"):
            lines.append(f"  thoughts were taken off {thoughts} answers; what they cost is in the tokens")
    return "\n".join(lines)


def plan_text(plan: dict[str, Any]) -> str:
    """What a build would do: the result of `dry_run`, with prompts and forecast where they were asked for."""
    lines = [
        f"{plan['subset']}: {plan['samples']} samples of {plan['images']} images"
        f" ({plan['image_layout'] or 'in the annotation files'}), "
        f"{plan['shards']} shards, {plan['samples_left']} samples left to do",
    ]
    if plan["unusable"]:
        lines.append(f"  unusable   {_pairs(plan['unusable'])}")
    for step in plan["steps"]:
        lines.append(f"  writes     {step['writes']} with {step['model']} ({step['revision']}) on {plan['engine']}")
        lines.append(f"             prompt {step['prompt']}, {_pairs(step['sampling'])}")
        lines.append(f"             checks {_pairs(step['checks'])}; at most {plan['max_attempts']} attempts")
    lines.append(f"  out        {plan['out']}")
    lines += [f"  warning    {finding}" for finding in plan["lint"]]
    if "forecast" in plan:
        lines += _forecast_lines(plan["forecast"])
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


def _forecast_lines(forecast: dict[str, Any]) -> list[str]:
    lines = [
        f"  tried      {forecast['samples_tried']} samples in {forecast['seconds']:.0f} s: "
        f"{forecast['captions_per_s']:.1f} captions/s, {forecast['requests_per_sample']:.2f} requests a sample, "
        f"{forecast['reject_rate']:.0%} rejected"
        + (f" ({_pairs(forecast['rejections'])})" if forecast["rejections"] else ""),
        f"  forecast   {forecast['samples_left']} samples left: {duration(forecast['hours'] * 3600)}, "
        f"{forecast['prompt_tokens']:,} prompt and {forecast['tokens']:,} answer tokens"
        + (f", ${forecast['dollars']:,.2f}" if forecast["dollars"] is not None else ""),
    ]
    if forecast["is_rough"]:
        lines.append("             few samples were tried, and the engine was never full for long: it will be faster")
    return lines


def _pairs(mapping: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in mapping.items())
