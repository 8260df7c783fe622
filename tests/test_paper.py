"""The paper's numbers: every row is there, and where its arithmetic fails is listed rather than hidden."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.declared.shipped import shipped_names
from lrs2m_builder.errors import UserError
from lrs2m_builder.evals.paper import load_paper
from lrs2m_builder.evals.registry import evaluations, paper_tests
from lrs2m_builder.train.named_configs import make_config
from tests.paper_arithmetic import find_disagreements, r_mi, row_weighted_totals
from tests.toy import ROOT

PAPER = load_paper()
# Rows of each table, counted in the paper's pages.
NUM_ROWS = {"i": 11, "ii": 8, "iii": 16, "iv": 10, "v": 12, "vi": 2, "vii": 3, "viii": 2, "ix": 2, "x": 3}


def test_every_row_of_the_papers_tables_is_there_once() -> None:
    assert {name: len(table.rows) for name, table in PAPER.tables.items()} == {
        f"table_{number}": rows for number, rows in NUM_ROWS.items()
    }
    for table in PAPER.tables.values():
        assert len({row.name for row in table.rows}) == len(table.rows)


def test_the_listed_disagreements_are_all_that_the_arithmetic_finds() -> None:
    assert find_disagreements(PAPER) == [replace(listed, note="") for listed in PAPER.disagreements]
    assert all(listed.note for listed in PAPER.disagreements)


def test_rows_that_are_not_listed_have_the_mean_that_their_cells_give() -> None:
    """Counted apart from `find_disagreements`: 24 means of recalls, 10 of accuracies, 12 R_mi."""
    listed = {(one.table, one.row, one.column) for one in PAPER.disagreements}
    checked = 0
    for name, column, last in (("table_ii", "mr", 6), ("table_iii", "mr", 6), ("table_iv", "mean", 6)):
        for row in PAPER.tables[name].rows:
            cells = list(row.values.values())[:last]
            holds = abs(sum(cells) / last - row.values[column]) < 0.005 + 1e-9
            assert holds is ((name, row.name, column) not in listed), row
            checked += 1
    for row in PAPER.tables["table_v"].rows:
        su, as_, da, stated = row.values.values()
        holds = abs(0.4 * su + 0.35 * (1 - as_) + 0.25 * da - stated) < 0.00005 + 1e-9
        assert holds is (("table_v", row.name, "r_mi") not in listed), row
        checked += 1
    assert checked == 46


def test_the_long_clip_row_of_rsitmd_l_repeats_two_of_its_cells() -> None:
    values = PAPER.tables["table_ii"].row("RSITMD-L ViT-B/16 Long-CLIP").values
    assert (values["i2t_r5"], values["i2t_r10"]) == (values["t2i_r5"], values["t2i_r10"])
    (found,) = [one for one in find_disagreements(PAPER) if one.row == "RSITMD-L ViT-B/16 Long-CLIP"]
    assert (found.stated, found.computed) == (45.43, 46.98)


def test_gains_that_the_text_states_are_the_differences_of_its_tables() -> None:
    table = PAPER.tables["table_iii"]
    for gain in PAPER.gains:
        theirs, ours = gain["sizes"]
        over = table.row(f"{gain['set']} {theirs} GeoRSCLIP").values
        of = table.row(f"{gain['set']} {ours} LRSCLIP").values
        for column in ("t2i_r1", "i2t_r1", "mr"):
            assert of[column] - over[column] == pytest.approx(gain[column], abs=0.001), gain


def test_the_last_row_of_every_ablation_is_the_main_tables_row() -> None:
    rows = {name: each.main_row for name, each in evaluations().items() if each.main_row}
    main = {name: PAPER.tables[row.table].row(row.row).values[row.column] for name, row in rows.items()}
    for name in ("table_vi", "table_vii", "table_viii", "table_ix"):
        assert dict(PAPER.tables[name].rows[-1].values) == main
    assert tuple(main) == paper_tests()


def test_table_i_is_what_the_manifests_say_of_the_paper() -> None:
    figures = {name: load_manifest(name).paper for name in shipped_names("manifests")}
    for row in PAPER.tables["table_i"].rows:
        paper = figures[row.labels["subset"].lower().replace("-", "")]
        assert paper is not None
        assert (paper.pairs, paper.mean_tokens_long, paper.mean_tokens_short) == tuple(row.values.values())


def test_the_rows_of_table_i_give_thirty_pairs_more_than_its_total() -> None:
    totals = row_weighted_totals(PAPER)
    assert totals["pairs of all subsets"] - PAPER.totals[0]["stated"] == 30


def test_the_default_configuration_has_the_papers_optimizer() -> None:
    config = make_config("paper_b16")
    assert config.optimizer == "sgd"
    for row in PAPER.tables["table_x"].rows:
        assert getattr(config, row.name) == row.values["value"]


def test_r_mi_of_a_perfect_map_is_one() -> None:
    assert r_mi(1, 0, 1) == pytest.approx(1)


def test_an_unknown_row_is_answered_with_those_that_are_there() -> None:
    with pytest.raises(UserError, match=r"no row 'SigLIP'; it has: SeLo-v1"):
        PAPER.tables["table_v"].row("SigLIP")


def test_the_docs_show_every_disagreement() -> None:
    page = (ROOT / "docs" / "experiments.md").read_text()
    for one in PAPER.disagreements:
        digits = 4 if one.column == "r_mi" else 2
        numbers = [f"{x:,.0f}" if x > 1000 else f"{x:.{digits}f}" for x in (one.stated, one.computed)]
        assert f"| {numbers[0]} | {numbers[1]} | {one.note} |" in page, one
