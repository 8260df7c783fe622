"""The output of `lrs2m build`: its report, or the plan of a dry run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lrs2m_builder.commands import pairs
from lrs2m_builder.terminal import duration

if TYPE_CHECKING:
    from lrs2m_builder.build.report import Report


def report_text(report: Report) -> str:
    """The report of a build for people."""
    lines = [
        f"{report.out_dir}{f', part {report.part}' if report.part else ''}: {report.samples} samples = "
        f"{report.records} records + "
        f"{sum(report.rejections.values())} rejections, {report.shards} shards"
        + (" so far; stopped, run the same command to resume" if report.stopped else "")
    ]
    if report.kept_answers:
        lines.append(f"  {report.kept_answers} answers of {report.kept_samples} samples are kept in the journal")
    lines += [f"  {count:>6} {reason}" for reason, count in sorted(report.rejections.items(), key=lambda i: -i[1])]
    if report.run["requests"]:
        shares = pairs({name: f"{share:.0%}" for name, share in report.run["bound_by"].items()})
        lines.append(
            f"  this run: {report.run['requests']} answers in {report.run['seconds']:.0f} s, "
            f"{report.run['captions_per_s']:.1f} captions/s, {report.run['tokens_per_s']:.0f} tokens/s"
            + (f"; bound by {shares}" if shares else "")
            + (f"; engine started in {duration(start_s)}" if (start_s := report.run.get("start_s", 0)) >= 1 else "")
        )
        if claims := report.run.get("claims"):
            lines.append(f"  {claims} claims were held against the images")
        if thoughts := report.run.get("thoughts"):
            lines.append(f"  thoughts were removed from {thoughts} answers; the token count includes them")
    return "\n".join(lines)


def plan_text(plan: dict[str, Any]) -> str:
    """The plan of a build for people: the result of `dry_run`, with prompts and forecast if it has them."""
    lines = [
        f"{plan['subset']}: {plan['samples']} samples of {plan['images']} images"
        f" ({plan['image_layout'] or 'in the annotation files'}), "
        f"{plan['shards']} shards, {plan['samples_left']} samples to do",
    ]
    if plan["unusable"]:
        lines.append(f"  unusable   {pairs(plan['unusable'])}")
    for step in plan["steps"]:
        lines.append(f"  writes     {step['writes']} with {step['model']} ({step['revision']}) on {plan['engine']}")
        lines.append(f"             prompt {step['prompt']}, {pairs(step['sampling'])}")
        lines.append(f"             checks {pairs(step['checks'])}; at most {plan['max_attempts']} attempts")
    if plan["texts"] > 1:
        lines.append(f"  texts      {plan['texts']} long texts per image")
    if verify := plan["verify"]:
        below = pairs(verify["thresholds"]) or "0.5"
        lines.append(f"  verify     {verify['mode']}: a claim is false below {below}; judge {verify['judge'][0]}")
    if plan["price_share"] != 1:
        share = f"{plan['price_share']:.0%} of the endpoint's"
        lines.append(f"  price      {share}: sent as batches, each answered within 24 h")
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
        tokens = (
            "unknown number of tokens"
            if prompt["num_prompt_tokens"] is None
            else f"{prompt['num_prompt_tokens']} tokens"
        )
        lines.append(f"{size}{tokens}\n{prompt['prompt']}")
    return "\n".join(lines)


def _forecast_lines(forecast: dict[str, Any]) -> list[str]:
    is_batch = forecast["price_share"] != 1
    time_needed = "24 h at most per round of batches" if is_batch else duration(forecast["hours"] * 3600)
    price = f" at the batch price, {forecast['price_share']:.0%} of --price" if is_batch else ""
    lines = [
        f"  tried      {forecast['samples_tried']} samples in {forecast['seconds']:.0f} s: "
        f"{forecast['captions_per_s']:.1f} captions/s, {forecast['requests_per_sample']:.2f} requests per sample, "
        f"{forecast['reject_rate']:.0%} rejected"
        + (f" ({pairs(forecast['rejections'])})" if forecast["rejections"] else ""),
        f"  forecast   {forecast['samples_left']} samples left: {time_needed}, "
        f"{forecast['prompt_tokens']:,} prompt and {forecast['tokens']:,} answer tokens"
        + (f", ${forecast['dollars']:,.2f}{price}" if forecast["dollars"] is not None else ""),
    ]
    if is_batch:
        return lines
    if forecast["is_rough"]:
        lines.append("             rough: with so few samples the engine was never full; the build will be faster")
    return lines
