"""What a published card says of licences and images is what manifests and rows say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from lrs2m_builder.dataset.publish.run import PublishReport, publish
from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.errors import UserError
from tests.export_data import row, write_rows
from tests.toy import build_toy, make_source

CAPTIONS = "its manifest does not say `redistribute: images`"
ALLOWED = "its manifest says `redistribute: images`, and every row has the manifest's licence"


def built(folder: Path, build: Any = build_toy, **facts: str) -> Path:
    """A build of three images whose manifest says these things."""
    source = make_source(folder / "source", 3)
    source.write_text(yaml.safe_dump(yaml.safe_load(source.read_text()) | facts))
    build(source, folder / "built")
    return folder / "built"


def tree(path: Path, dest: Path, **options: Any) -> tuple[PublishReport, str, dict[str, Any]]:
    """The report of a dry run, the card's text in one line, and what is on top of it."""
    report = publish([path], "me/data", dest=dest, dry_run=True, **options)
    _, front, text = (dest / "README.md").read_text().split("---\n", 2)
    return report, " ".join(text.split()), yaml.safe_load(front)


@pytest.mark.parametrize(
    ("facts", "with_images", "why"),
    [
        ({}, False, CAPTIONS),
        ({"license": "CC BY-NC 4.0", "redistribute": "captions"}, False, CAPTIONS),
        ({"license": "CC BY-SA 4.0", "redistribute": "images"}, True, ALLOWED),
    ],
)
def test_an_own_manifest_says_whether_images_are_passed_on(
    tmp_path: Path, facts: dict[str, str], with_images: bool, why: str
) -> None:
    report, card, _ = tree(built(tmp_path, **facts), tmp_path / "dest")
    assert (report.splits[0].with_images, report.splits[0].why) == (with_images, why)
    assert f"- images of `toy`: {'in these files' if with_images else 'not here'}; {why}." in card
    assert ("**not** part" in card) == (not with_images)
    columns = pq.read_schema(next((tmp_path / "dest" / "data").rglob("*.parquet"))).names
    assert ("image" in columns) == with_images


def test_of_an_own_manifest_that_says_nothing_nothing_is_published(tmp_path: Path) -> None:
    path = built(tmp_path, redistribute="nothing")
    for images in (None, True, False):
        with pytest.raises(UserError, match="the manifest of subset 'toy' forbids redistribution"):
            tree(path, tmp_path / "dest", images=images)


def test_a_publisher_who_decides_is_named_as_the_reason(tmp_path: Path) -> None:
    path = built(tmp_path, redistribute="images")
    report, card, _ = tree(path, tmp_path / "without", images=False)
    assert not report.splits[0].with_images and "left out by the publisher (`--captions-only`)" in card
    report, card, _ = tree(path, tmp_path / "with", images=True)
    assert report.splits[0].with_images and "the publisher states the right to redistribute them" in card


def test_rows_that_hold_no_images_are_the_reason(tmp_path: Path) -> None:
    def by_name(source: Path, out_dir: Path) -> None:
        build_toy(source, out_dir, images="reference")

    report, _, _ = tree(built(tmp_path, by_name, redistribute="images"), tmp_path / "dest")
    assert report.splits[0].why == "its rows contain only the names of images"


def test_rows_of_no_known_manifest_keep_their_images(tmp_path: Path) -> None:
    write_rows(tmp_path / "in" / "a.parquet", [row(1, license="CC0-1.0")])
    report, _, _ = tree(tmp_path / "in", tmp_path / "dest")
    assert report.splits[0].why == "no known manifest says that they may be redistributed"
    some = {"subset": "ucmerced", "license": "all rights reserved"}
    write_rows(tmp_path / "other" / "a.parquet", [row(1, **some)])
    report, _, _ = tree(tmp_path / "other", tmp_path / "dest2")
    assert report.splits[0].why == "not every row has the licence of its manifest"


@pytest.mark.parametrize(
    ("licenses", "on_top", "cell"),
    [
        (["CC BY-NC 4.0"] * 3, "cc-by-nc-4.0", "| `a` | CC BY-NC 4.0 |"),
        (["CC BY-SA 4.0"] * 3, "cc-by-sa-4.0", "| `a` | CC BY-SA 4.0 |"),
        (["CC-BY-NC-SA-4.0"] * 3, "cc-by-nc-sa-4.0", "| `a` | CC-BY-NC-SA-4.0 |"),
        (["CC0-1.0", "CC BY-SA 4.0", "CC0-1.0"], "other", "| `a` | CC BY-SA 4.0; CC0-1.0 |"),
        (["CC0-1.0", None, "CC0-1.0"], "other", "| `a` | CC0-1.0; no licence stated for 1 of 3 rows |"),
        ([None, " ", ""], "other", "| `a` | no licence stated |"),
        (["Research use, no licence stated"] * 3, "other", "| `a` | Research use, no licence stated |"),
    ],
)
def test_a_licence_of_the_whole_is_named_only_where_every_row_has_it(
    tmp_path: Path, licenses: list[str | None], on_top: str, cell: str
) -> None:
    write_rows(tmp_path / "in" / "a.parquet", [row(n, license=name) for n, name in enumerate(licenses)])
    _, card, front = tree(tmp_path / "in", tmp_path / "dest")
    assert front["license"] == on_top and cell in card
    assert f"- `a`: {cell[8:-2]}\n" in (tmp_path / "dest" / "LICENSE.md").read_text()
    assert ("If no licence is stated, it is unknown" in card) == ("licence stated" in cell and not all(licenses))


def test_the_terms_of_a_model_are_spoken_of_where_one_wrote(tmp_path: Path) -> None:
    write_rows(tmp_path / "in" / "a.parquet", [row(1, license="CC0-1.0")])
    _, card, _ = tree(tmp_path / "in", tmp_path / "dest")
    assert "Texts that a model wrote are bound" not in card
    write_rows(tmp_path / "model" / "a.parquet", [row(1, license="CC0-1.0", model="google/gemma")])
    _, card, _ = tree(tmp_path / "model", tmp_path / "dest2")
    assert "Texts that a model wrote are bound by the terms of that model too" in card


def test_a_build_notes_its_manifest_and_an_edited_note_is_one_line(tmp_path: Path) -> None:
    path = built(tmp_path, citation="Ann 2026", homepage="here")
    noted = json.loads((path / "build.json").read_text())
    assert noted["source"] == load_manifest(str(tmp_path / "source" / "toy.yaml")).origin
    _, card, _ = tree(path, tmp_path / "dest")
    assert "- `toy`: Ann 2026." in card
    (path / "build.json").write_text(json.dumps(noted | {"source": ["images"]}))
    with pytest.raises(UserError, match="its source cannot be read; was it edited"):
        tree(path, tmp_path / "dest2")
