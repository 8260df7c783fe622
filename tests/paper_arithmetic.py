"""The arithmetic between the numbers of the paper: what its own cells give for what it states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lrs2m_builder.evals.paper import RECALLS, Disagreement, Paper, Row, mean_accuracy

_HALF_DIGIT = 1e-9  # a value that lies exactly between two printed ones agrees with both


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


def mean_recall(values: Mapping[str, float]) -> float:
    """mR: the mean of the six recalls."""
    return sum(values[name] for name in RECALLS) / len(RECALLS)


def r_mi(r_su: float, r_as: float, r_da: float) -> float:
    """The paper's sum of the three indicators of localization (equation 6)."""
    return 0.4 * r_su + 0.35 * (1 - r_as) + 0.25 * r_da


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
