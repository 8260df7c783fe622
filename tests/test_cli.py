"""The command line: bad input is one line and exit code 2, machine output is one JSON object."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.toy import ROOT, make_source, start_cli

LRS2M = [sys.executable, "-m", "lrs2m_builder.cli"]


def lrs2m(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user would, with no network for models."""
    settings = {**os.environ, "HF_HUB_OFFLINE": "1", **environment}
    command = [*LRS2M, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=settings, timeout=120, check=False)


def build_arguments(manifest: Path, out: Path, **changes: str | Path) -> list[str]:
    settings: dict[str, str | Path] = {"recipe": "short_to_long", "source": manifest, "model": "org/name"}
    settings |= {"data-dir": manifest.parent, "out": out}
    settings |= {name.replace("_", "-"): value for name, value in changes.items()}
    return ["build", *(part for name, value in settings.items() for part in (f"--{name}", str(value)))]


def the_one_line(result: subprocess.CompletedProcess[str]) -> str:
    """The message of a command that failed as it should."""
    assert result.returncode == 2, (result.returncode, result.stderr)
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
    assert not result.stdout
    return lines[0]


def change_manifest(source: Path, **changes: object) -> None:
    source.write_text(yaml.safe_dump({**yaml.safe_load(source.read_text()), **changes}))


def test_unknown_recipe_lists_the_known_ones(tmp_path: Path) -> None:
    line = the_one_line(lrs2m(*build_arguments(make_source(tmp_path, 2), tmp_path / "o", recipe="merg")))
    assert "no recipe 'merg'" in line and "short_to_long" in line


def test_unknown_source_lists_the_known_ones(tmp_path: Path) -> None:
    result = lrs2m(*build_arguments(make_source(tmp_path, 2), tmp_path / "o", source="ucmercedd"))
    assert "ucmerced" in the_one_line(result).split("known:")[1]


def test_wrong_data_dir_says_how_to_get_the_data(tmp_path: Path) -> None:
    line = the_one_line(lrs2m(*build_arguments(make_source(tmp_path, 2), tmp_path / "o", data_dir=tmp_path / "no")))
    assert "no such folder" in line and "make it" in line


def test_data_dir_without_annotations_says_what_was_looked_for(tmp_path: Path) -> None:
    source = make_source(tmp_path, 2)
    (tmp_path / "dataset.json").unlink()
    assert "dataset.json" in the_one_line(lrs2m(*build_arguments(source, tmp_path / "o")))


def test_broken_json_names_the_line(tmp_path: Path) -> None:
    source = make_source(tmp_path, 2)
    (tmp_path / "dataset.json").write_text('{"images": [\n{"filename": "0.jpg",\n}]}')
    assert "line 3" in the_one_line(lrs2m(*build_arguments(source, tmp_path / "o")))


def test_no_image_found_says_where_it_looked(tmp_path: Path) -> None:
    line = the_one_line(lrs2m(*build_arguments(make_source(tmp_path, 3, missing=range(3)), tmp_path / "o")))
    assert "none of the 3 images" in line and "imgs/{filename}" in line


def test_out_below_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    arguments = build_arguments(make_source(tmp_path, 2), tmp_path / "file" / "out", model=model)
    assert "is a file; give a folder" in the_one_line(lrs2m(*arguments))


def test_missing_model_folder_is_said(tmp_path: Path) -> None:
    line = the_one_line(lrs2m(*build_arguments(make_source(tmp_path, 2), tmp_path / "o", model=tmp_path / "none")))
    assert "no such folder" in line
    assert not (tmp_path / "o").exists()


def test_model_the_hub_does_not_give_is_said(tmp_path: Path) -> None:
    line = the_one_line(lrs2m(*build_arguments(make_source(tmp_path, 2), tmp_path / "o", model="org/no-such-model")))
    assert "org/no-such-model" in line and "network" in line


@pytest.mark.parametrize(
    ("flag", "value", "expected"),
    [
        ("check", "word_rang=off", "known: all, anchor_count"),
        ("check", "word_range=of", "error, warn, off"),
        ("sampling", "temperature", "KEY=VALUE"),
        ("engine-option", "=3", "KEY=VALUE"),
        ("engine", "vlm", "known: openai, openai-batch, transformers, vllm"),
        ("limit", "0", "--limit"),
        ("no-such-flag", "1", "--no-such-flag"),
    ],
)
def test_a_wrong_flag_is_one_line(tmp_path: Path, flag: str, value: str, expected: str) -> None:
    arguments = build_arguments(make_source(tmp_path, 2), tmp_path / "o")
    assert expected in the_one_line(lrs2m(*arguments, f"--{flag}", value))


def test_unknown_manifest_key_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    source = make_source(tmp_path, 2)
    change_manifest(source, licence="CC0")
    line = the_one_line(lrs2m(*build_arguments(source, tmp_path / "o")))
    assert "'licence'" in line and "license" in line


def test_unknown_format_is_said(tmp_path: Path) -> None:
    source = make_source(tmp_path, 2)
    change_manifest(source, format="karpathy")
    assert "karpathy_json" in the_one_line(lrs2m(*build_arguments(source, tmp_path / "o")))


def test_rejections_over_the_rate_exit_3(tmp_path: Path) -> None:
    source = make_source(tmp_path, 10, missing=range(6))
    process = start_cli(source, tmp_path / "out", "--max-reject-rate", "0.5", log=tmp_path / "log", delay_s=0)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "60% of the samples were rejected" in err


def test_json_is_one_object_on_standard_output(tmp_path: Path) -> None:
    process = start_cli(make_source(tmp_path, 10), tmp_path / "out", "--json", log=tmp_path / "log", delay_s=0)
    out, _ = process.communicate(timeout=60)
    report = json.loads(out)
    assert report["samples"] == 10 == report["records"] + sum(report["rejections"].values())


def test_dry_run_writes_nothing_and_counts(tmp_path: Path) -> None:
    source = make_source(tmp_path, 25, missing=(1,))
    process = start_cli(source, tmp_path / "out", "--dry-run", "--json", log=tmp_path / "log", delay_s=0)
    plan = json.loads(process.communicate(timeout=60)[0])
    assert (plan["samples"], plan["shards"], plan["unusable"]) == (25, 3, {"image_missing": 1})
    assert plan["steps"][0]["checks"]["refusal"] == "error"
    assert not (tmp_path / "out").exists()


def test_sources_lists_describes_and_reads(tmp_path: Path) -> None:
    assert re.search(r"^ucmerced\s+UC Merced", lrs2m("sources").stdout, re.MULTILINE)
    assert "licence" in lrs2m("sources", "ucmerced").stdout
    source = make_source(tmp_path, 8, captions=2, missing=(2,))
    (tmp_path / "imgs" / "3.jpg").write_bytes(b"nothing")
    (tmp_path / "imgs" / "5.jpg").write_bytes((tmp_path / "imgs" / "4.jpg").read_bytes())
    found = json.loads(lrs2m("sources", source, "--data-dir", tmp_path, "--json").stdout)
    assert (found["images"], found["images_found"], found["captions"], found["samples"]) == (8, 7, 16, 16)
    missing = "2.jpg: not found as imgs/{filename}: there is no imgs/2.jpg"
    assert found["problems"]["image_missing"] == {"count": 1, "examples": [missing]}
    assert found["problems"]["image_unreadable"]["count"] == 1
    assert found["identical_images"] == {"count": 1, "examples": ["5.jpg is 4.jpg"]}


HEAVY = (
    "torch",
    "vllm",
    "transformers",
    "datasets",
    "pandas",
    "numpy",
    "pyarrow",
    "duckdb",
    "PIL",
    "matplotlib",
    "jinja2",
)


# Not among them is pydantic: the option parser itself loads it as soon as an option is given.
@pytest.mark.parametrize("line", ["--version", "--help", "build --help", "sources", "eval models", "experiment list"])
def test_a_command_that_only_prints_loads_nothing_heavy(line: str) -> None:
    script = (
        f"import sys, atexit; sys.argv = ['lrs2m', *{line.split()}]; from lrs2m_builder.cli import main\n"
        f"atexit.register(lambda: print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)); main()"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stderr.strip() == "[]" and result.stdout
