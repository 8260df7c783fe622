"""The paper's tables as numbers, the arithmetic between them, and where they contradict each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from lrs2m_builder.errors import UserError

Test = Literal["zcrl", "zcrs", "zic", "selo"]
TESTS: tuple[Test, ...] = ("zcrl", "zcrs", "zic", "selo")
RECALLS = ("t2i_r1", "t2i_r5", "t2i_r10", "i2t_r1", "i2t_r5", "i2t_r10")
# The row that every ablation repeats: LRSCLIP at the size of the ablations, and the column of each test's summary.
MAIN_ROW = {
    "zcrl": ("table_ii", "RSITMD-L ViT-B/16 LRSCLIP", "mr"),
    "zcrs": ("table_iii", "RSITMD ViT-B/16 LRSCLIP", "mr"),
    "zic": ("table_iv", "ViT-B/16 LRSCLIP", "mean"),
    "selo": ("table_v", "ViT-B/16 LRSCLIP", "r_mi"),
}
_HALF_DIGIT = 1e-9  # a value that lies exactly between two printed ones agrees with both


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
    test: Test | None
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


def mean_recall(values: Mapping[str, float]) -> float:
    """mR: the mean of the six recalls."""
    return sum(values[name] for name in RECALLS) / len(RECALLS)


def mean_accuracy(values: Mapping[str, float]) -> float:
    """The mean over the sets of Table IV."""
    cells = [value for name, value in values.items() if name != "mean"]
    return sum(cells) / len(cells)


def r_mi(r_su: float, r_as: float, r_da: float) -> float:
    """The paper's sum of the three indicators of localization (equation 6)."""
    return 0.4 * r_su + 0.35 * (1 - r_as) + 0.25 * r_da


def find_disagreements(paper: Paper) -> list[Disagreement]:
    """Every stated number that its own cells contradict, in the order of the tables."""
    order = list(paper.tables)
    found = [*_totals(paper), *_summaries(paper), *_impossible_cells(paper)]
    return sorted(found, key=lambda one: order.index(one.table))


def row_weighted_totals(paper: Paper) -> dict[str, float]:
    """What the rows of Table I give for each total that the text states."""
    rows = {row.labels["subset"]: row.values for row in paper.tables["table_i"].rows}
    found = {}
    for total in paper.totals:
        chosen = [rows[name] for name in total.get("subsets", rows)]
        pairs = sum(values["pairs"] for values in chosen)
        column = next((name for name in ("long", "short") if name in total["what"].split()), None)
        tokens = sum(values["pairs"] * values[f"tokens_{column}"] for values in chosen) if column else 0.0
        found[total["what"]] = tokens / pairs if column else pairs
    return found


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


def _totals(paper: Paper) -> Iterator[Disagreement]:
    computed = row_weighted_totals(paper)
    for total in paper.totals:
        value = computed[total["what"]]
        if _differs(total["stated"], value, digits := 2 if "tokens" in total["what"] else 0):
            yield Disagreement("table_i", total["what"], "total", total["stated"], round(value, digits))


def _summaries(paper: Paper) -> Iterator[Disagreement]:
    """Means and R_mi against the cells of their row, to the last digit printed."""
    for table in paper.tables.values():
        for row in table.rows:
            values = row.values
            if "mr" in values:
                column, computed, digits = "mr", mean_recall(values), 2
            elif "mean" in values:
                column, computed, digits = "mean", mean_accuracy(values), 2
            elif "r_mi" in values:
                column, computed, digits = "r_mi", r_mi(values["r_su"], values["r_as"], values["r_da"]), 4
            else:
                continue
            if _differs(values[column], computed, digits):
                yield Disagreement(table.name, row.name, column, values[column], round(computed, digits))


def _impossible_cells(paper: Paper) -> Iterator[Disagreement]:
    """Recalls and accuracies that no whole number of hits gives; `computed` is the nearest that one does."""
    for table in paper.tables.values():
        for row in table.rows:
            for column, stated in row.values.items():
                num_queries = _num_queries(paper, row, column)
                if num_queries is None:
                    continue
                nearest = 100 * round(stated * num_queries / 100) / num_queries
                if _differs(stated, nearest, 2):
                    yield Disagreement(table.name, row.name, column, stated, round(nearest, 2))


def _num_queries(paper: Paper, row: Row, column: str) -> int | None:
    """How many queries a cell counts hits of; None for a cell that counts none."""
    if column in RECALLS:
        return paper.sets[row.labels["set"]]["texts" if column.startswith("t2i") else "images"]
    return paper.sets[column]["images"] if column in paper.sets else None


def _differs(stated: float, computed: float, digits: int) -> bool:
    return abs(stated - computed) > 0.5 * 10.0 ** (-digits) + _HALF_DIGIT
