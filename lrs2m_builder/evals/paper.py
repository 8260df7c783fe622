"""The paper's tables as numbers, the arithmetic between them, and where they contradict each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from lrs2m_builder.errors import UserError

RECALLS = ("t2i_r1", "t2i_r5", "t2i_r10", "i2t_r1", "i2t_r5", "i2t_r10")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: what names it, and its numbers by column."""

    labels: Mapping[str, str]
    values: Mapping[str, float]

    @property
    def name(self) -> str:
        """Its labels in one string, such as "RSICD ViT-B/16 LRSCLIP"."""
        return " ".join(label for label in self.labels.values() if label)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the paper; recalls and accuracies in percent."""

    name: str
    title: str
    test: str | None
    rows: tuple[Row, ...]

    def row(self, name: str) -> Row:
        """The row of that name.

        Raises:
            UserError: there is none; the message lists those that are.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise UserError(f"{self.name} has no row {name!r}; it has: {', '.join(row.name for row in self.rows)}")


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A number that the paper states, and what its own cells give for it."""

    table: str
    row: str
    column: str
    stated: float
    computed: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Paper:
    """What the paper states, as it is printed.

    Attributes:
        sets: images and texts of each evaluation set.
        claims: what it says of a table or figure, for figures that give no numbers.
        totals, gains: numbers that its text states beside the tables.
    """

    tables: Mapping[str, Table]
    sets: Mapping[str, Mapping[str, int]]
    claims: Mapping[str, tuple[str, ...]]
    totals: tuple[Mapping[str, Any], ...]
    gains: tuple[Mapping[str, Any], ...]
    disagreements: tuple[Disagreement, ...]
    contradictions: tuple[str, ...]


@cache
def load_paper() -> Paper:
    """The paper's numbers, from paper.yaml."""
    raw = yaml.safe_load((Path(__file__).parent / "paper.yaml").read_text(encoding="utf-8"))
    return Paper(
        tables={name: _table(name, table) for name, table in raw["tables"].items()},
        sets=raw["sets"],
        claims={name: tuple(claims) for name, claims in raw["claims"].items()},
        totals=tuple(raw["totals"]),
        gains=tuple(raw["gains"]),
        disagreements=tuple(Disagreement(**fields) for fields in raw["disagreements"]),
        contradictions=tuple(raw["contradictions"]),
    )


def mean_accuracy(values: Mapping[str, float]) -> float:
    """The mean over the sets of Table IV."""
    cells = [value for name, value in values.items() if name != "mean"]
    return sum(cells) / len(cells)


def _table(name: str, raw: Mapping[str, Any]) -> Table:
    labels, columns = raw["labels"], raw["columns"]
    rows = tuple(
        Row(
            dict(zip(labels, row[: len(labels)], strict=True)),
            dict(zip(columns, map(float, row[len(labels) :]), strict=True)),
        )
        for row in raw["rows"]
    )
    return Table(name, raw["title"], raw.get("test"), rows)
