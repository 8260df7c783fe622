"""`lrs2m audit`."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lrs2m_builder.commands import DataSetArgument, Json, print_json
from lrs2m_builder.terminal import show

if TYPE_CHECKING:
    from lrs2m_builder.dataset.audit.findings import Audit
    from lrs2m_builder.dataset.audit.judges import JudgeComparison

NUM_SHOWN = 3
_FOUND = {
    "leak": "images identical to an evaluation image",
    "near_leak": "near copies of an evaluation image",
    "duplicate": "images identical to another one",
    "near_duplicate": "near copies of another image",
}


def audit_command(
    data: DataSetArgument,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="Evaluation images: a folder, a Karpathy or COCO list in JSON above its images, or Parquet.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the findings. By default audit/ in the data set.")
    ] = None,
    remove_same_names: Annotated[
        bool,
        typer.Option(
            "--remove-same-names", help="Also remove images that only share a file name with an --against image."
        ),
    ] = False,
    within_days: Annotated[
        float | None,
        typer.Option(
            metavar="DAYS",
            min=0,
            help="Of images of an evaluation image's ground, count only those taken that close in time. Default: all.",
        ),
    ] = None,
    judges: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Compare the verdicts of two judges: names of scores that lrs2m verify made."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Find leaks, duplicates and bad captions.

    Compares the images of a data set with each other and with evaluation images, and their footprints on the ground if
    both have some (needs the extra 'geo'), looks for repeated captions, and runs the checks on every text. Writes a
    report and the list of images to remove; the data set stays unchanged. What is compared: docs/audit.md.

    Example:
        lrs2m audit out --against RSITMD/images --against dataset_RSICD.json
        lrs2m audit out --judges verify,internvl
    """
    from lrs2m_builder.dataset.audit.run import as_json as json_of
    from lrs2m_builder.dataset.audit.run import audit

    result = audit(
        data,
        against or (),
        out_dir=out,
        remove_same_names=remove_same_names,
        within_days=within_days,
        judges=judges.split(",") if judges is not None else (),
        show_progress=sys.stderr.isatty(),
    )
    if as_json:
        print_json(json_of(result))
        return
    show("\n".join(audit_lines(result)))


def audit_lines(result: Audit) -> list[str]:
    """The findings for people; the report has the details."""
    images = f"{result.images:,} images, {result.distinct_images:,} of them distinct"
    lines = [f"{result.path}: {result.records:,} records, {images}"]
    if result.against:
        images = f"{result.evaluation_images:,} evaluation images"
        only = "" if result.evaluation_images else ", as no image file was found"
        lines.append(f"  against {images} and {result.evaluation_names:,} file names{only}")
    kinds = Counter(pair.kind for pair in result.pairs)
    for kind, words in _FOUND.items():
        if not result.against and "leak" in kind:
            continue
        shown = [f"{pair.image} = {pair.of}" for pair in result.pairs if pair.kind == kind][:NUM_SHOWN]
        lines.append(f"  {kinds[kind]:>8,}  {words}" + (f": {'; '.join(shown)}" if shown else ""))
    if result.against:
        shown = [f"{match.image} ({match.of})" for match in result.names[:NUM_SHOWN]]
        lines.append(
            f"  {len(result.names):>8,}  images with the file name of an evaluation image"
            + (f": {'; '.join(shown)}" if shown else "")
        )
    if result.places:
        shown = [f"{match.image} ({match.share:.0%} of {match.of})" for match in result.places[:NUM_SHOWN]]
        lines.append(f"  {len(result.places):>8,}  images of an evaluation image's ground: {'; '.join(shown)}")
    lines += [f"  {n:>8,}  {what}" for what, n in _left_out(result).items() if n]
    for column in result.captions:
        lines.append(
            f"  {column.column}: {column.distinct:,} distinct of {column.rows:,}; {column.repeated_rows:,} records "
            f"repeat a text exactly, {column.near_rows:,} nearly, in {column.near_groups:,} groups"
        )
    lines.append(f"  checks: {len(result.findings)} with findings" if result.findings else "  checks: no findings")
    lines += [
        f"  {finding.records:>8,}  {finding.records / result.records:>6.1%}  {finding.check} in {finding.column}, "
        f"such as {finding.examples[0][0]}"
        for finding in result.findings
    ]
    lines += judge_lines(result.judges) if result.judges else []
    return [*lines, f"  to remove: {len(result.removals):,} images"]


def judge_lines(judges: JudgeComparison) -> list[str]:
    """How far two judges agree, for people."""
    first, second = judges.names
    lines = [
        f"  judges {first} and {second}: {judges.kinds[0].claims:,} claims answered by both, {judges.only[0]:,} by "
        f"{first} alone, {judges.only[1]:,} by {second} alone",
        f"  {'kind':<10}{'claims':>8}{'agree':>8}{'kappa':>8}{'both false':>12}{'A alone':>9}{'B alone':>9}"
        f"{'AUROC A':>9}{'AUROC B':>9}",
    ]
    for one in judges.kinds:
        auroc_a, auroc_b = map(_figure, one.aurocs)
        lines.append(
            f"  {one.kind:<10}{one.claims:>8,}{one.agreement:>8.3f}{_figure(one.kappa):>8}{one.both_false:>12,}"
            f"{one.first_false:>9,}{one.second_false:>9,}{auroc_a:>9}{auroc_b:>9}"
        )
    lines.append(f"  A: {first} (scores of A, with B's verdicts as the truth); alone: it alone calls the claim false")
    if any(value is not None for value in judges.review_aurocs):
        auroc_a, auroc_b = map(_figure, judges.review_aurocs)
        lines.append(
            f"  reviews: {judges.reviewed[0]:,} rows accepted, {judges.reviewed[1]:,} flagged; AUROC of the smallest "
            f"score of a row {auroc_a} and {auroc_b}"
        )
    lines += [
        f"  {each.scores[0]:.3f} {each.scores[1]:.3f}  {each.sample_id} ({each.kind}): {each.words}"
        for each in judges.differences[:NUM_SHOWN]
    ]
    return lines


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _left_out(result: Audit) -> dict[str, int]:
    return {
        "images of a single colour, only compared byte by byte": result.flat_images,
        "records without an image": result.without_image,
        **{f"images not compared: {reason}": count for reason, count in result.unreadable.items()},
    }
