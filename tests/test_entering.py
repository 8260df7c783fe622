"""Whatever a source's texts and names are, what enters can be stored, printed and shown to a model, or is rejected."""

from __future__ import annotations

import datetime
import json
import sys
from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.errors import SampleError
from lrs2m_builder.schema import Anchor
from lrs2m_builder.sources._base import SourceRow
from lrs2m_builder.sources._entering import entered
from lrs2m_builder.sources._survey import survey
from lrs2m_builder.text import MAX_TEXT, entering_text
from tests.fake_engine import FakeModule
from tests.toy import build_toy, make_source, rows

COMMANDS = {
    "half a pair": ("a \ud83d plane", "a \ufffd plane"),
    "two halves": ("a \ud83d\ude80 rocket", "a \U0001f680 rocket"),
    "nul": ("plane\x00image\x00", "plane image"),
    "colour": ("\x1b[31mred\x1b[0m roof", "red roof"),
    "title": ("\x1b]0;owned\x07a roof", "a roof"),
    "link": ("\x1b]8;;http://x\x1b\\a roof", "a roof"),
    "reset": ("\x1bca roof", "a roof"),
    "bell": ("a\x07 roof", "a roof"),
    "right to left": ("a \u202efoor\u202c", "a foor"),
    "isolates": ("\u2066a roof\u2069", "a roof"),
    "zero width": ("a ro\u200bof\ufeff", "a roof"),
    "tags": ("a roof\U000e0041\U000e0042", "a roof"),
    "no character": ("a\uffff roof\ufdd0", "a roof"),
    "line": ("a\u2028roof\x0b", "a roof"),
    "marker": ("a <|endoftext|> roof", "a roof"),
}


@pytest.mark.parametrize("kind", COMMANDS)
def test_what_commands_hides_or_reorders_is_taken_out(kind: str) -> None:
    given, expected = COMMANDS[kind]
    text = entering_text(given)
    assert text == expected and text.encode() and entering_text(text) == text


def test_what_is_no_text_stays_as_it_was() -> None:
    row = SourceRow(*(f"a {field.name}" if field.type == "str" else (field.name,) for field in fields(SourceRow)))
    row = replace(row, anchors=(Anchor("plane"),))
    assert entered(row) == row


@pytest.mark.parametrize(
    "value",
    [
        *({"raw": "a"}, ["a"], b"a", 3, 2.5, float("nan"), True, np.array(["a"]), Decimal("1.5")),
        *(datetime.datetime(2020, 1, 1), np.str_, object()),
    ],
)
def test_nothing_but_a_text_is_one(value: Any) -> None:
    with pytest.raises(SampleError) as caught:
        entering_text(value)
    assert caught.value.reason == "not_text" and type(value).__name__ in caught.value.detail


def test_a_letter_that_joins_others_and_any_script_is_kept() -> None:
    for text in ("किसी", "👩‍🌾 on a field", "נמל", "影像 1"):
        assert entering_text(text) == text


@pytest.mark.parametrize(
    "row",
    [
        SourceRow("1.jpg", captions=("a road", 3)),  # type: ignore[arg-type]
        SourceRow("1.jpg", caption_long=["a"]),  # type: ignore[arg-type]
        SourceRow("1.jpg", label=7),  # type: ignore[arg-type]
        SourceRow("1.jpg", anchors=(Anchor(b"plane"),)),  # type: ignore[arg-type]
        SourceRow("1.jpg", anchors=(Anchor("\u202e"),)),
    ],
)
def test_a_row_with_something_else_than_text_is_rejected_and_keeps_its_name(row: SourceRow) -> None:
    found = entered(row)
    assert found.image_name == "1.jpg" and found.problem is not None and found.problem[0] == "not_text"


def test_classes_that_become_the_same_are_counted_together() -> None:
    row = entered(SourceRow("1.jpg", anchors=(Anchor("plane", 2), Anchor("plane\x00", 3), Anchor("ship"))))
    assert row.anchors == (Anchor("plane", 5), Anchor("ship"))


def test_a_text_of_a_megabyte_is_a_rejection_that_says_how_long_it_is() -> None:
    row = entered(SourceRow("1.jpg", captions=("a" * 1_000_000,)))
    assert row.captions == () and row.problem is not None
    assert row.problem[0] == "text_too_long" and "1,000,000 characters" in row.problem[1]
    assert entered(SourceRow("1.jpg", captions=("a" * MAX_TEXT,))).problem is None


BAD_NAMES = ["a\nb.jpg", "a\x00b.jpg", "a\ud800b.jpg", "a\x1b[2Jb.jpg", "a\x9b2Jb.jpg", "", "x" * 5000]


def test_names_that_cannot_be_used_are_rejections_with_ids_of_their_own(tmp_path: Path) -> None:
    source = make_source(tmp_path, 2)
    content = json.loads((tmp_path / "dataset.json").read_text())
    names = [name for name in BAD_NAMES if name]  # the reader refuses an empty one
    content["images"] += [{"filename": name, "sentences": ["a road"]} for name in (*names, names[0], "a\\nb.jpg")]
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    report = build_toy(source, tmp_path / "out", FakeModule(), checks={"all": "off"})
    assert report.rejections == {"bad_name": len(names), "duplicate_row": 1, "image_missing": 1}
    ids = [row["sample_id"] for row in rows(tmp_path / "out", "rejected")]
    assert len(set(ids)) == len(ids) == len(names) + 2
    assert all(identifier.isprintable() and len(identifier) < 200 for identifier in ids)
    found = survey(load_manifest(str(source)), tmp_path).problems
    assert {reason: problem["count"] for reason, problem in found.items()} == report.rejections


@pytest.mark.parametrize("name", ["", 3, None, "x" * 5000])
def test_a_name_that_is_none_is_a_problem(name: Any) -> None:
    row = entered(SourceRow(name))
    assert row.image_name and row.problem is not None and row.problem[0] == "bad_name"


def test_labels_of_half_pairs_and_marks_of_prompts_are_built(tmp_path: Path) -> None:
    source = make_source(tmp_path, 2)
    text = source.read_text().replace("karpathy_json", "image_folder").replace("dataset.json", "imgs")
    source.write_text(text.replace("rows: caption", "rows: image\nhint_label: true"))
    for number, label in enumerate(("\ud83d field", "field\x00image\x00")):
        content = json.dumps({"caption": "a field", "label": label})
        (tmp_path / "imgs" / f"{number}.json").write_text(content)
    report = build_toy(source, tmp_path / "out", checks={"all": "off"})
    assert report.records == 2
    assert [row["label"] for row in rows(tmp_path / "out")] == ["\ufffd field", "field image"]


@pytest.mark.parametrize("piece", ["amp;", "#38;", "#x026;amp;", "\ud800", "\x1b[", "\ufffd", "a\u0301", "<|"])
def test_a_text_of_one_piece_again_and_again_is_not_gone_through_for_each_of_them(piece: str) -> None:
    """Left to itself, ftfy goes through the whole text once for each "amp;" behind an ampersand."""

    def calls(number: int) -> int:
        counted = 0

        def count(frame: object, event: str, argument: object) -> None:
            nonlocal counted
            counted += event == "c_call"

        sys.setprofile(count)
        try:
            entering_text("&" + piece * number)
        finally:
            sys.setprofile(None)
        return counted

    calls(10)  # what is imported and cached at the first call
    assert calls(2000) <= calls(500) + 100
