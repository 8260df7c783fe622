"""Comparing the folder of a command that was killed with the folder of one that never was: byte for byte.

What may differ by its nature is listed here, with the reason, and nothing else may.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

Snapshot = dict[str, bytes]
Normal = Callable[[bytes], bytes]
FOLDER = b"(a folder)"


def _whole(content: bytes) -> bytes:
    return content


def _without_run(content: bytes) -> bytes:
    report = json.loads(content)
    del report["run"]
    return json.dumps(report).encode()


def _without(key: str, *, torn: bool = False) -> Normal:
    """Every JSON line without this key.

    Args:
        torn: leave out lines that are half written, as the file's reader does.
    """

    def normal(content: bytes) -> bytes:
        entries = []
        for line in filter(None, content.split(b"\n")):
            try:
                entries.append({name: value for name, value in json.loads(line).items() if name != key})
            except ValueError:
                if not torn:
                    raise
        return json.dumps(entries).encode()

    return normal


# File name: (why it may differ, what is compared; None: nothing, and it may be missing).
MAY_DIFFER: dict[str, tuple[str, Normal | None]] = {
    "report.json": ("`run` counts and times the last run alone, and a run that resumes does less", _without_run),
    "telemetry.jsonl": ("lines of rates at moments in time; none of a run that found all done", None),
    "metrics.jsonl": ("`images_per_s` is a speed", _without("images_per_s")),
    "reviews.jsonl": ("`time` is the moment of a click; a torn line is passed over", _without("time", torn=True)),
    ".lock": (
        "names the process that held the folder last; of one that was killed it stays, and the next takes it",
        None,
    ),
}


def snapshot(root: Path) -> Snapshot:
    """Every file and folder below the root by its relative path; what may differ is taken out."""
    found: Snapshot = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_dir():
            found[name] = FOLDER
            continue
        kind = ".lock" if path.name.endswith(".lock") else path.name
        _, normal = MAY_DIFFER.get(kind, ("", _whole))
        if normal is None:
            continue
        content = path.read_bytes()
        try:
            found[name] = normal(content)
        except (ValueError, KeyError):  # half a file: it differs, whatever else it holds
            found[name] = b"(torn) " + content
    return found


def is_complete(found: Snapshot, reference: Snapshot) -> bool:
    """Whether all that the command makes is there, whatever else is."""
    must = {name for name in reference if Path(name).name not in MAY_DIFFER}
    return all(found.get(name) == reference[name] for name in must)


def differences(found: Snapshot, reference: Snapshot) -> list[str]:
    """What differs: "left over NAME", "missing NAME" or "differs NAME"."""
    said = [f"left over {name}" for name in sorted(found.keys() - reference.keys())]
    said += [f"missing {name}" for name in sorted(reference.keys() - found.keys())]
    return said + [f"differs {name}" for name in sorted(found.keys() & reference) if found[name] != reference[name]]


def sample_ids(root: Path) -> dict[str, Counter[str]]:
    """The sample ids of the records and rejections of every build below the root, by its folder."""
    found: dict[str, Counter[str]] = {}
    for build in sorted(path.parent for path in root.rglob("build.json")):
        files = [path for kind in ("data", "rejected") for path in (build / kind).rglob("[!.]*.parquet")]
        columns = [pq.read_table(path, columns=["sample_id"]).column(0).to_pylist() for path in files]
        found[str(build.relative_to(root))] = Counter(name for column in columns for name in column)
    return found


def lost_and_doubled(root: Path, reference: dict[str, Counter[str]]) -> tuple[int, int]:
    """How many rows are missing, and how many are there twice, compared with the ids of the reference."""
    lost = doubled = 0
    found = sample_ids(root)
    for build, expected in reference.items():
        here = found.get(build, Counter())
        lost += (Counter(expected) - here).total()
        doubled += (here - Counter(expected)).total()
    return lost, doubled
