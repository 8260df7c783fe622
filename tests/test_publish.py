"""`lrs2m publish`: a tree that `datasets` opens, and a card that says what it is."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from lrs2m_builder.dataset.publish.run import publish
from lrs2m_builder.dataset.selection import Filters
from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.errors import UserError
from tests.export_data import row, write_rows
from tests.toy import build_toy, ids, make_source, rows


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of the toy subset, some of whose images are missing."""
    folder = tmp_path_factory.mktemp("publish")
    build_toy(make_source(folder / "data", 25, missing=(3, 4)), folder / "toy")
    return folder / "toy"


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of ucmerced, whose licence lets its images be passed on."""
    folder = tmp_path_factory.mktemp("free")
    some = {"subset": "ucmerced", "license": load_manifest("ucmerced").license}
    write_rows(folder / "a.parquet", [row(n, **some, sample_id=f"ucmerced/{n}") for n in range(12)])
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))


def tree(paths: list[Path], dest: Path, **options: Any) -> Path:
    """The tree of a dry run."""
    publish(paths, "me/data", dest=dest, dry_run=True, **options)
    return dest


def front(dest: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((dest / "README.md").read_text().split("---\n")[1])
    return found


@pytest.mark.parametrize("streaming", [False, True])
def test_datasets_loads_every_subset_with_its_images(toy: Path, free: Path, tmp_path: Path, streaming: bool) -> None:
    from datasets import load_dataset

    dest = tree([toy, free], tmp_path / "dest", images=True)
    for subset, expected in (("toy", ids(toy)), ("ucmerced", [f"ucmerced/{n}" for n in range(12)])):
        found = list(load_dataset(str(dest), subset, split="train", streaming=streaming))
        assert [r["sample_id"] for r in found] == expected
        assert all(r["image"].convert("RGB").size == (r["width"] or 4, r["height"] or 3) for r in found)


def test_datasets_loads_all_subsets_together_by_default(toy: Path, free: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    dest = tree([toy, free], tmp_path / "dest", images=True)
    assert len(load_dataset(str(dest), split="train")) == len(ids(toy)) + 12


def test_the_card_declares_the_columns_that_the_files_have(toy: Path, tmp_path: Path) -> None:
    from datasets import DatasetInfo, load_dataset

    dest = tree([toy], tmp_path / "dest", images=True)
    told = {info["config_name"]: DatasetInfo._from_yaml_dict(info) for info in front(dest)["dataset_info"]}
    bare = load_dataset("parquet", data_files=str(dest / "data" / "toy" / "*.parquet"), split="train")
    assert told["toy"].features == told["default"].features == bare.features
    assert told["toy"].splits["train"].num_examples == len(ids(toy))


def test_rows_are_published_as_they_were_built(toy: Path, tmp_path: Path) -> None:
    dest = tree([toy], tmp_path / "dest", images=True)
    found = [r for path in sorted((dest / "data").rglob("*.parquet")) for r in pq.read_table(path).to_pylist()]
    assert [r.pop("image_path") for r in found] == [r["image"]["path"] for r in rows(toy)]
    assert found == rows(toy)


def test_shards_and_row_groups_keep_to_the_hubs_sizes(tmp_path: Path) -> None:
    write_rows(tmp_path / "in" / "a.parquet", [row(n, image={"bytes": os.urandom(3000)}) for n in range(950)], 333)
    dest = tree([tmp_path / "in"], tmp_path / "dest", images=True, max_shard_bytes=1_100_000)
    files = sorted((dest / "data" / "a").iterdir())
    assert [path.name for path in files] == [f"train-{n:05d}-of-{len(files):05d}.parquet" for n in range(len(files))]
    assert len(files) == 4 and all(path.stat().st_size <= 1_100_000 for path in files)
    data = [pq.read_metadata(path) for path in files]
    groups = [one.row_group(n).num_rows for one in data for n in range(one.num_row_groups)]
    assert groups == [100] * 9 + [50]


def test_images_stay_here_unless_their_licence_lets_them_go(toy: Path, free: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    dest = tree([toy, free], tmp_path / "dest")
    images = {name: load_dataset(str(dest), name, split="train")["image"][:] for name in ("toy", "ucmerced")}
    assert set(images["toy"]) == {None}
    assert None not in images["ucmerced"]
    assert "images of `toy` are **not** part" in " ".join((dest / "README.md").read_text().split())


def test_rows_of_a_known_name_but_another_licence_keep_their_images(tmp_path: Path) -> None:
    write_rows(tmp_path / "in" / "a.parquet", [row(1, subset="ucmerced", license="all rights reserved")])
    dest = tree([tmp_path / "in"], tmp_path / "dest")
    assert "image" not in pq.read_schema(next((dest / "data").rglob("*.parquet"))).names


def test_no_byte_of_an_image_is_in_a_tree_of_captions(free: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    dest = tree([free], tmp_path / "dest", images=False)
    assert not any(b"\x89PNG" in path.read_bytes() for path in (dest / "data").rglob("*.parquet"))
    found = load_dataset(str(dest), "ucmerced", split="train")
    assert "image" not in found.column_names
    assert found["image_path"][:2] == ["0.png", "1.png"]


def test_rows_that_hold_the_name_of_an_image_alone_have_none(tmp_path: Path) -> None:
    from datasets import load_dataset

    named = {"image": {"bytes": None, "path": "far/away.png"}}
    write_rows(tmp_path / "in" / "a.parquet", [row(1), row(2, **named), row(3)])
    found = load_dataset(str(tree([tmp_path / "in"], tmp_path / "dest", images=True)), "a", split="train")
    assert [image and image.getpixel((0, 0)) for image in found["image"]] == [(1, 0, 0), None, (3, 0, 0)]
    write_rows(tmp_path / "names" / "a.parquet", [row(2, **named)])
    with pytest.raises(UserError, match="its rows contain only the names of images; publish it with --captions-only"):
        tree([tmp_path / "names"], tmp_path / "other", images=True)


def test_the_card_says_what_is_in_the_data(toy: Path, tmp_path: Path) -> None:
    dest = tree([toy], tmp_path / "dest")
    card = (dest / "README.md").read_text()
    settings = json.loads((toy / "build.json").read_text())["settings"]
    rejected = len(rows(toy, "rejected"))
    assert f"| `toy`: Toy | {len(ids(toy))} |" in card
    assert f"| `toy` | 25 | {rejected} | {100 * rejected / 25:.1f} % | " in card
    assert f"short_to_long.v1 ({settings['prompts']['short_to_long.v1'][:12]})" in card
    assert "toy-model" in card and "CC0-1.0" in card
    assert all(name in card for name in settings["checks"][0])
    assert (dest / "assets" / "text_lengths.png").read_bytes().startswith(b"\x89PNG")
    assert front(dest)["license"] == "cc0-1.0"


def test_the_card_cites_the_sources_and_counts_what_was_left_out(free: Path, tmp_path: Path) -> None:
    dest = tree([free], tmp_path / "dest", filters=Filters(where="num_tokens_long >= 4"))
    card = (dest / "README.md").read_text()
    assert load_manifest("ucmerced").citation in card
    assert "| `ucmerced` | 12 | 0 | 0.0 % | - | 4 | 8 |" in card
    assert front(dest)["license"] == "other" and (dest / front(dest)["license_link"]).is_file()


def test_no_folder_of_this_machine_is_published(tmp_path: Path) -> None:
    model = "/home/ann/models/qwen/"
    some = {"model": model, "long_source": model, "short_source": "Qwen/Qwen2-VL", "license": "CC0-1.0"}
    write_rows(tmp_path / "in" / "a.parquet", [row(1, **some), row(2)])
    dest = tree([tmp_path / "in"], tmp_path / "dest")
    assert "/home/ann" not in (dest / "README.md").read_text()
    found = pq.read_table(dest / "data").to_pylist()
    assert [one["model"] for one in found] == ["qwen", None]
    assert (found[0]["long_source"], found[0]["short_source"]) == ("qwen", "Qwen/Qwen2-VL")


def test_text_of_the_data_breaks_no_table(tmp_path: Path) -> None:
    write_rows(tmp_path / "in" / "a.parquet", [row(1, license="a | b\nc", long_source="{{ x }}", model="| --- |")])
    card = (tree([tmp_path / "in"], tmp_path / "dest") / "README.md").read_text()
    blocks = re.split(r"\n{2,}", card.replace("\\|", ""))
    tables = [[line.count("|") for line in block.splitlines()] for block in blocks if block.startswith("|")]
    assert len(tables) == 5 and all(len(set(table)) == 1 for table in tables)


def test_the_same_subset_twice_is_refused(toy: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"subset 'toy' is also in "):
        tree([toy, toy], tmp_path / "dest")


@pytest.mark.parametrize("repo_id", ["", "a/b/c", "a b", "../x", "me/"])
def test_a_bad_repo_id_is_refused(toy: Path, tmp_path: Path, repo_id: str) -> None:
    with pytest.raises(UserError, match="--repo-id"):
        publish([toy], repo_id, dest=tmp_path / "dest", dry_run=True)


def test_a_tree_of_other_data_is_not_written_over(toy: Path, free: Path, tmp_path: Path) -> None:
    dest = tree([toy], tmp_path / "dest")
    with pytest.raises(UserError, match="made from other data or settings"):
        tree([free], dest)
    assert (dest / "data" / "toy").is_dir()
