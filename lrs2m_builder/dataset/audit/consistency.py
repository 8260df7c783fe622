"""Runs the checks on every record of a finished data set, whoever wrote it and whatever was checked before."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from tqdm import tqdm

from lrs2m_builder import checks
from lrs2m_builder.checks import CLIP_LONG, CLIP_SHORT, Answer, Check, clip_budget
from lrs2m_builder.dataset.foreign import as_record, plain_rows, reading
from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.declared.shipped import shipped_names
from lrs2m_builder.schema import Anchor, Box, Sample, Viewpoint
from lrs2m_builder.stopping import worker_processes
from lrs2m_builder.tokenizer import count_tokens

NUM_EXAMPLES = 5
COLUMNS = (
    *("sample_id", "subset", "caption_short", "caption_long", "num_tokens_short", "num_tokens_long"),
    *("anchors", "boxes", "width", "height", "captions_long"),
)
_MAX_IN_FLIGHT = 4  # row groups per process
# A short text made from the long one may not say more than it; labels are required only in the long text.
_OF_LABELS = ("anchor_count", "anchor_place")
_OF_SHORT = ("empty", "repetition", "direction", "copy", "summary_object", "summary_count", *_OF_LABELS)
_OF_LONG = ("empty", "repetition", "direction", "anchor_missing", *_OF_LABELS)


@dataclass(frozen=True, slots=True)
class Finding:
    """The findings of one check in a caption column.

    Attributes:
        subsets: number of records by subset, the largest first.
        examples: (sample id, the check's message, the text).
    """

    check: str
    column: str
    records: int
    subsets: dict[str, int]
    examples: tuple[tuple[str, str, str], ...]


@dataclass(slots=True)
class _Tally:
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], list[tuple[str, str, str]]] = field(default_factory=dict)

    def add(self, other: _Tally) -> None:
        self.counts += other.counts
        for key, examples in other.examples.items():
            self.examples[key] = [*self.examples.get(key, []), *examples][:NUM_EXAMPLES]


@cache
def caption_checks() -> dict[str, tuple[Check, ...]]:
    """The checks by caption column, looked up by name; names unknown to this release are skipped."""
    by_name = {value.name: value for value in vars(checks).values() if isinstance(value, Check)}
    return {
        "caption_short": (*(by_name[name] for name in _OF_SHORT if name in by_name), clip_budget(CLIP_SHORT)),
        "caption_long": (*(by_name[name] for name in _OF_LONG if name in by_name), clip_budget(CLIP_LONG)),
    }


def check_records(files: Sequence[Path], *, show_progress: bool = False) -> tuple[Finding, ...]:
    """Run the checks on every record, on all cores, one row group at a time.

    Returns:
        The findings, the most frequent first.
    """
    tally, spans = _Tally(), list(_spans(files))
    if len(spans) == 1:  # not worth worker processes
        tally.add(_check_span(*spans[0])[0])
        return _findings(tally)
    total = sum(pq.read_metadata(file).num_rows for file in files)
    with (
        worker_processes(os.cpu_count() or 1) as submit,
        tqdm(total=total, desc="checks", unit="record", disable=not show_progress) as bar,
    ):
        waiting: list[Any] = []
        for span in [*spans, None]:
            if span is not None:
                waiting.append(submit(_check_span, *span))
            while waiting and (span is None or len(waiting) >= _MAX_IN_FLIGHT * (os.cpu_count() or 1)):
                findings, num_records = waiting.pop(0).result()
                tally.add(findings)
                bar.update(num_records)
    return _findings(tally)


def _findings(tally: _Tally) -> tuple[Finding, ...]:
    findings = []
    for (check, column), examples in tally.examples.items():
        counts = {subset: n for (c, col, subset), n in tally.counts.most_common() if (c, col) == (check, column)}
        findings.append(Finding(check, column, sum(counts.values()), counts, tuple(examples)))
    return tuple(sorted(findings, key=lambda finding: (-finding.records, finding.check, finding.column)))


def _spans(files: Sequence[Path], size: int = 2000) -> Iterator[tuple[Path, list[int]]]:
    """Adjacent row groups, combined to about `size` rows."""
    for path in files:
        metadata, groups, rows = pq.read_metadata(path), [], 0
        for group in range(metadata.num_row_groups):
            groups.append(group)
            rows += metadata.row_group(group).num_rows
            if rows >= size or group == metadata.num_row_groups - 1:
                yield path, groups
                groups, rows = [], 0


def _check_span(path: Path, groups: list[int]) -> tuple[_Tally, int]:
    tally = _Tally()
    with reading(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        columns = [name for name in COLUMNS if name in file.schema_arrow.names]
        table = file.read_row_groups(groups, columns=columns)
        rows = [row for batch in table.to_batches() for row in plain_rows(as_record(batch), path)]
    for row in rows:
        found = [(column, check, problem, row[column] or "") for column, check, problem in find_problems(row)]
        for text in (row.get("captions_long") or ())[1:]:
            problems = find_problems({**row, "caption_long": text, "num_tokens_long": None})
            found += [
                ("captions_long", check, why, text) for column, check, why in problems if column == "caption_long"
            ]
        for column, check, problem, text in found:
            tally.counts[check, column, row["subset"] or ""] += 1
            examples = tally.examples.setdefault((check, column), [])
            if len(examples) < NUM_EXAMPLES:
                examples.append((row["sample_id"], problem, text))
    return tally, len(rows)


def find_problems(row: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield what the checks find in a record's texts: the column, the check, its message."""
    viewpoint = _viewpoints().get(row["subset"], "overhead")
    for column, column_checks in caption_checks().items():
        answer = _answer(row, column, viewpoint)
        for check in column_checks:
            if (problem := check.find(answer)) is not None:
                yield column, check.name, problem


@cache
def _viewpoints() -> dict[str, Viewpoint]:
    return {name: load_manifest(name).viewpoint for name in shipped_names("manifests")}


def _answer(row: Mapping[str, Any], column: str, viewpoint: Viewpoint) -> Answer:
    """A stored text as an answer for the checks; the short text as if it had been made from the long one."""
    text = row[column] or ""
    tokens = row.get(column.replace("caption", "num_tokens"))
    return Answer(
        text=text,
        raw=text,
        finish_reason="stop",
        num_tokens=count_tokens(text) if tokens is None else tokens,
        sample=_sample(row),
        source=(row["caption_long"] or "") if column == "caption_short" else "",
        viewpoint=viewpoint,
    )


def _sample(row: Mapping[str, Any]) -> Sample:
    """The labels of a stored row as those of a sample."""
    boxes: dict[str, list[Box]] = {}
    for box in row.get("boxes") or ():
        boxes.setdefault(box["class"], []).append((box["xmin"], box["ymin"], box["xmax"], box["ymax"]))
    width, height = row.get("width"), row.get("height")
    return Sample(
        row["sample_id"],
        row["subset"] or "",
        "",
        None,
        anchors=tuple(
            Anchor(anchor["class"], anchor["count"], tuple(boxes.get(anchor["class"], ())))
            for anchor in row.get("anchors") or ()
        ),
        image_size=(width, height) if boxes and width and height else None,
    )
