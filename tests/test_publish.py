"""`lrs2m publish`: a tree that `datasets` opens, a card that says what it is, and the way to the Hub."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from lrs2m_builder.errors import UserError
from lrs2m_builder.manifest import load_manifest
from lrs2m_builder.publish import STATE, publish
from lrs2m_builder.selection import Filters
from tests.fake_hub import TOKEN, FakeHub, Fault, Repo, fake_hub
from tests.test_export import row, write_rows
from tests.toy import ROOT, build_toy, ids, make_source, rows


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
    dest = tree([tmp_path / "in"], tmp_path / "dest", images=True, max_shard_bytes=1_000_000)
    files = sorted((dest / "data" / "a").iterdir())
    assert [path.name for path in files] == [f"train-{n:05d}-of-{len(files):05d}.parquet" for n in range(len(files))]
    assert len(files) == 4 and all(path.stat().st_size <= 1_000_000 for path in files)
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
    with pytest.raises(UserError, match="hold no images but their names; publish it with --captions-only"):
        tree([tmp_path / "names"], tmp_path / "other", images=True)


def test_the_card_says_what_is_in_the_data(toy: Path, tmp_path: Path) -> None:
    dest = tree([toy], tmp_path / "dest")
    card = (dest / "README.md").read_text()
    settings = json.loads((toy / "build.json").read_text())["settings"]
    rejected = len(rows(toy, "rejected"))
    assert f"| `toy` | {len(ids(toy))} |" in card
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
    with pytest.raises(UserError, match=r"subset 'toy' is in .* too"):
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


@pytest.fixture(scope="module")
def made(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of the toy subset; uploads of the same data use it again."""
    return tree([toy], tmp_path_factory.mktemp("made") / "dest")


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with fake_hub() as running:
        yield running


def run(
    hub: FakeHub, home: Path, *arguments: str, xet: bool = False, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The real command line with the real client in a process of its own."""
    own = {
        "HF_ENDPOINT": hub.endpoint,
        "HF_TOKEN": TOKEN,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": str(int(not xet)),
    }
    command = [sys.executable, "-m", "lrs2m_builder.cli", "publish", "--repo-id", "me/data", *arguments]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **own, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def arrived(hub: FakeHub, dest: Path) -> bool:
    """Whether the Hub has exactly the files of the tree."""
    here = {str(path.relative_to(dest)): path for path in dest.rglob("*") if path.is_file() and path.name != STATE}
    files = hub.repos["dataset", "me/data"].files
    return files.keys() == here.keys() and all(hub.content("me/data", name) == here[name].read_bytes() for name in here)


def test_what_is_published_is_the_tree_and_a_second_run_sends_nothing(
    hub: FakeHub, toy: Path, made: Path, tmp_path: Path
) -> None:
    arguments = (str(toy), "--dest", str(made), "--private")
    first = run(hub, tmp_path / "home", *arguments)
    assert first.returncode == 0, first.stderr
    assert arrived(hub, made)
    assert hub.repos["dataset", "me/data"].private
    asked = hub.asked.copy()
    second = run(hub, tmp_path / "home", *arguments)
    assert "nothing new for" in second.stdout
    assert hub.asked == asked


def test_the_clients_own_way_through_xet_works_and_sends_nothing_twice(
    hub: FakeHub, toy: Path, made: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        result = run(hub, tmp_path / "home", str(toy), "--dest", str(made), xet=True)
        assert result.returncode == 0, result.stderr
    tree_ = {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()}
    assert hub.repos["dataset", "me/data"].files.keys() == tree_ - {STATE}
    assert hub.asked["commit"] == 1
    assert set(hub.xorbs.values()) == {1}


def test_an_upload_survives_a_dropped_connection_and_a_busy_hub(
    hub: FakeHub, toy: Path, made: Path, tmp_path: Path
) -> None:
    hub.faults = [
        Fault("POST", "/api/repos/create", 429, {"Retry-After": "2"}),
        Fault("PUT", "/lfs/"),
        Fault("POST", "/preupload/", 503),
        Fault("POST", "/commit/"),
    ]
    start = time.monotonic()
    result = run(hub, tmp_path / "home", str(toy), "--dest", str(made))
    assert result.returncode == 0, result.stderr
    assert time.monotonic() - start > 2
    assert not any(fault.times for fault in hub.faults)
    assert arrived(hub, made)
    assert hub.asked["commit"] == 1


def test_an_interrupted_upload_goes_on_where_it_stopped(hub: FakeHub, toy: Path, made: Path, tmp_path: Path) -> None:
    hub.faults = [Fault("POST", "/commit/", 400)]
    arguments = (str(toy), "--dest", str(made))
    assert run(hub, tmp_path / "home", *arguments).returncode == 2
    sent, time_made = hub.asked["PUT lfs"], (made / STATE).stat().st_mtime_ns
    assert run(hub, tmp_path / "home", *arguments).returncode == 0
    assert hub.asked["PUT lfs"] == sent > 0
    assert (made / STATE).stat().st_mtime_ns == time_made
    assert arrived(hub, made)


def test_shards_of_an_earlier_version_go_away(hub: FakeHub, toy: Path, made: Path, tmp_path: Path) -> None:
    old = {
        "data/old/train-00000-of-00001.parquet": ("0" * 64, 3),
        "notes.md": ("1" * 40, 3),
        ".gitattributes": ("2" * 40, 3),
    }
    hub.repos["dataset", "me/data"] = Repo("dataset", files=dict(old))
    assert run(hub, tmp_path / "home", str(toy), "--dest", str(made)).returncode == 0
    files = hub.repos["dataset", "me/data"].files
    assert files.keys() & old.keys() == {"notes.md", ".gitattributes"}
    assert any(name.startswith("data/toy/") for name in files)


@pytest.mark.parametrize("ok", [True, False])
def test_the_token_is_in_no_output_and_no_file(hub: FakeHub, toy: Path, made: Path, tmp_path: Path, ok: bool) -> None:
    hub.faults = [] if ok else [Fault("POST", "/commit/", 400)]
    result = run(hub, tmp_path / "home", str(toy), "--dest", str(made))
    assert (result.returncode == 0) == ok
    assert TOKEN not in result.stdout + result.stderr
    files = [path for folder in (tmp_path, made) for path in folder.rglob("*") if path.is_file()]
    assert files and not [path for path in files if TOKEN.encode() in path.read_bytes()]


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    """The error of a run that failed as a user's mistake."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr.strip().splitlines()[-1]


def test_no_token_is_said_before_anything_is_written(hub: FakeHub, toy: Path, tmp_path: Path) -> None:
    result = run(hub, tmp_path / "home", str(toy), "--dest", str(tmp_path / "dest"), HF_TOKEN="")
    assert "no token of the Hub: run `hf auth login` or set HF_TOKEN" in one_line(result)
    assert not (tmp_path / "dest").exists()


@pytest.mark.parametrize(("status", "said"), [(401, "not accepted (401)"), (403, "may not write there (403)")])
def test_a_token_that_may_not_is_one_line(
    hub: FakeHub, toy: Path, made: Path, tmp_path: Path, status: int, said: str
) -> None:
    hub.faults = [Fault("POST", "/api/repos/create", status, times=99)]
    assert said in one_line(run(hub, tmp_path / "home", str(toy), "--dest", str(made)))


def test_a_name_that_is_taken_by_a_model_is_one_line(hub: FakeHub, toy: Path, made: Path, tmp_path: Path) -> None:
    hub.repos["model", "me/data"] = Repo("model")
    said = one_line(run(hub, tmp_path / "home", str(toy), "--dest", str(made)))
    assert "me/data: is a model on the Hub already, no dataset; choose another --repo-id" in said


def test_no_network_is_one_line(hub: FakeHub, toy: Path, made: Path, tmp_path: Path) -> None:
    arguments = (str(toy), "--dest", str(made))
    said = one_line(run(hub, tmp_path / "home", *arguments, HF_ENDPOINT="http://127.0.0.1:9"))
    assert "http://127.0.0.1:9: cannot be reached" in said and "goes on" in said
