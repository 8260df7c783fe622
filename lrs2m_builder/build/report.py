"""The report of a build: report.json, and the check that samples = records + rejections."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from lrs2m_builder.build.journal import count_answers
from lrs2m_builder.build.prepare import Prepared
from lrs2m_builder.build.settings import REPORT_JSON
from lrs2m_builder.build.telemetry import Meter
from lrs2m_builder.build.work import statuses
from lrs2m_builder.errors import UserError
from lrs2m_builder.stores._base import NotAFileError, Store, read_object, write_object


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a build.

    Attributes:
        samples, records, rejections: of the whole folder, including earlier runs.
        run: counts and rates of this run only.
        stopped: whether a signal stopped it before all samples were finished.
        part: the part of the shards that was built and is counted here, such as 1/8; empty for all.
        kept_answers, kept_samples: number of answers in the journals of unfinished shards, and of their samples.
    """

    out_dir: str
    subset: str
    recipe: str
    model: str
    samples: int
    records: int
    rejections: dict[str, int]
    shards: int
    stopped: bool
    kept_answers: int
    kept_samples: int
    run: dict[str, Any]
    part: str = ""

    @property
    def reject_rate(self) -> float:
        """Rejections as a share of the samples."""
        return sum(self.rejections.values()) / self.samples if self.samples else 0.0


def write_report(prepared: Prepared, meter: Meter, *, stopped: bool) -> Report:
    """Write report.json: the checked counts of the folder, and the rates of this run.

    A part counts its own shards and writes nothing. A run without work keeps the rates of the run before it.

    Raises:
        UserError: a file of a finished shard was changed or lost while the build ran, or the disk fails.
    """
    store = prepared.store
    records, rejections, samples, shards = 0, Counter[str](), 0, 0
    for shard, length, status in statuses(prepared):
        if status is None or not status.is_whole:
            if stopped:
                continue
            raise UserError(f"{shard.where(shard.data)}: was changed while the build ran; run the same command again")
        records, samples, shards = records + status.records, samples + length, shards + 1
        rejections += status.rejections
    kept = count_answers(store, f"journal/{prepared.subset}") if stopped else (0, 0)
    report = Report(
        out_dir=store.address,
        subset=prepared.subset,
        recipe=prepared.settings["recipe"]["name"],
        model=" + ".join(dict.fromkeys(name for name, _ in prepared.plan.models)),
        samples=samples,
        records=records,
        rejections=dict(sorted(rejections.items())),
        shards=shards,
        stopped=stopped,
        kept_answers=kept[0],
        kept_samples=kept[1],
        part="/".join(map(str, prepared.options.part or ())),
        run=(None if meter.passed else _earlier_run(store)) or meter.snapshot(),
    )
    if not prepared.options.part:
        _write(store, asdict(report))
    return report


def _write(store: Store, report: dict[str, Any]) -> None:
    while True:
        try:
            if write_object(store, REPORT_JSON, report, store.find(REPORT_JSON)):
                return
        except NotAFileError:
            store.set_aside(REPORT_JSON)


def _earlier_run(store: Store) -> dict[str, Any] | None:
    """The run of an earlier report; None without a report, or for a broken one, which will be replaced."""
    try:
        run = (read_object(store, REPORT_JSON) or {}).get("run")
    except UserError:
        return None
    return run if isinstance(run, dict) and run.keys() >= Meter().snapshot().keys() else None
