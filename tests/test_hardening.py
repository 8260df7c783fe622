"""What a careful reader broke once stays mended."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from lrs2m_builder import checks, shards
from lrs2m_builder.engines.base import parse_options, positive_options
from lrs2m_builder.engines.model_files import find_model
from lrs2m_builder.engines.reaper import Reaper
from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.images.load import load_rgb, load_stored
from lrs2m_builder.manifest import load_manifest
from lrs2m_builder.recipe import load_recipe
from lrs2m_builder.schema import Completion
from lrs2m_builder.shipped import find
from tests.fake_engine import FakeModule, good_text
from tests.test_checks import make_answer
from tests.toy import ROOT, build_toy, ids, make_source, rows, start_cli, toy_options

CHECKS = [value for value in vars(checks).values() if isinstance(value, checks.Check)]


def good(request: Any) -> Completion:
    return Completion(good_text(request.seed), "stop")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_looping_answer_does_not_hang_a_check(check: checks.Check) -> None:
    """Every word of the patterns, said four hundred times: a pattern that backtracks would not come back."""
    source = "".join(path.read_text() for path in (ROOT / "lrs2m_builder" / "checks").glob("*.py"))
    for word in sorted(set(re.findall(r"[a-z]{3,}", source))):
        check.find(make_answer(f"The scene shows the {f'{word} ' * 400}roof."))


def test_other_children_of_the_program_outlive_the_engine() -> None:
    with subprocess.Popen(["sleep", "60"]) as mine:
        reaper = Reaper()
        time.sleep(0.5)
        reaper.stop(kill=True)
        assert mine.poll() is None
        mine.kill()


def test_a_clean_stop_of_the_reaper_ends_nothing() -> None:
    reaper = Reaper()
    with subprocess.Popen(["sleep", "60"]) as mine:
        time.sleep(2.5)
        reaper.stop()
        assert mine.poll() is None
        mine.kill()


def test_what_a_killed_program_started_is_ended() -> None:
    script = (
        "import subprocess, time; from lrs2m_builder.engines.reaper import Reaper\n"
        "r = Reaper(); time.sleep(1); p = subprocess.Popen(['sleep', '300']); print(p.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT) as program:
        assert program.stdout is not None
        pid = int(program.stdout.readline())
        time.sleep(2.5)
        program.kill()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline, "it was left running"
        time.sleep(0.2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_engine_starts_exits_130_at_once(tmp_path: Path, number: signal.Signals) -> None:
    """The engine swallows KeyboardInterrupt while it starts, as vLLM does."""
    script = (
        "import sys, time; from lrs2m_builder import cli; from lrs2m_builder.commands import build\n"
        "from tests.fake_engine import FakeModule\n"
        "class Slow(FakeModule):\n"
        "    def load(self, *arguments):\n"
        "        print('loading', flush=True)\n"
        "        while True:\n"
        "            try: time.sleep(60)\n"
        "            except KeyboardInterrupt: pass\n"
        "build.engine_module = lambda name: Slow()\n"
        "cli.main()"
    )
    source = make_source(tmp_path / "source", 3)
    command = [sys.executable, "-c", script, "build", "--recipe", "short_to_long", "--source", str(source)]
    command += ["--data-dir", str(source.parent), "--out", str(tmp_path / "out"), "--model", "toy"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "run the same command to go on" in out


def test_settings_may_change_while_nothing_was_asked(tmp_path: Path) -> None:
    source = make_source(tmp_path, 3)

    class Refuses(FakeModule):
        def load(self, *arguments: Any) -> Any:
            raise UserError("no such option")

    with pytest.raises(UserError, match="no such option"):
        build_toy(source, tmp_path / "out", Refuses(), engine_options={"foo": 1})
    assert build_toy(source, tmp_path / "out", FakeModule(good)).records == 3


def test_a_changed_check_is_named_in_the_refusal(tmp_path: Path) -> None:
    source = make_source(tmp_path, 3)
    build_toy(source, tmp_path / "out", checks={"all": "warn"})
    with pytest.raises(UserError, match=r"checks\[0\]\.word_range was warn, now error"):
        build_toy(source, tmp_path / "out", checks={"all": "warn", "word_range": "error"})


def test_a_dry_run_refuses_what_the_build_would_refuse(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", 3)
    build_toy(source, tmp_path / "out", engine="fake")
    process = start_cli(source, tmp_path / "out", "--dry-run", "--seed", "5", log=tmp_path / "log")
    _, error = process.communicate(timeout=60)
    assert process.returncode == 2 and "seed was 0, now 5" in error


def test_the_engines_shutdown_is_no_part_of_the_speed(tmp_path: Path) -> None:
    class SlowToClose(FakeModule):
        def load(self, *arguments: Any) -> Any:
            engine = super().load(*arguments)
            engine.close = lambda: time.sleep(2)  # type: ignore[method-assign]
            return engine

    report = build_toy(make_source(tmp_path, 3), tmp_path / "out", SlowToClose(good))
    assert report.run["seconds"] < 2
    again = build_toy(tmp_path / "toy.yaml", tmp_path / "out")
    assert again.run == report.run, "a rerun with nothing to do forgot the speed"


def test_an_image_gone_before_the_shard_is_written_keeps_its_answers(tmp_path: Path) -> None:
    source = make_source(tmp_path, 3)

    def script(request: Any) -> Completion:
        (tmp_path / "imgs" / "1.jpg").unlink(missing_ok=True)
        return good(request)

    report = build_toy(source, tmp_path / "out", FakeModule(script, delay_s=0.2))
    assert report.rejections == {"image_missing": 1}
    (row,) = rows(tmp_path / "out", "rejected")
    assert len(row["attempts"]) == 1


def test_a_retry_with_the_image_gone_keeps_the_answers(tmp_path: Path) -> None:
    source = make_source(tmp_path, 2)
    build_toy(source, tmp_path / "out", FakeModule(lambda request: Completion("Sorry.", "stop")))
    (tmp_path / "imgs" / "0.jpg").unlink()
    build_toy(source, tmp_path / "out", FakeModule(good), retry_rejected=True)
    (row,) = rows(tmp_path / "out", "rejected")
    assert (row["reason"], len(row["attempts"])) == ("image_missing", 3)


def test_large_images_make_smaller_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "BYTES_PER_GROUP", 3000)
    build_toy(make_source(tmp_path, 30), tmp_path / "out", FakeModule(good), shard_size=30)
    metadata = pq.read_metadata(next((tmp_path / "out" / "data").rglob("*.parquet")))
    assert metadata.num_row_groups > 3 and metadata.num_rows == 30
    assert ids(tmp_path / "out") == [f"toy/{n}.jpg#0" for n in range(30)]


@pytest.mark.parametrize("kind", ["AVIF", "DDS"])
def test_a_damaged_file_of_a_rarer_format_is_one_rejection(tmp_path: Path, kind: str) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 40).convert("RGB").save(buffer, format=kind)
    for cut in range(20, len(buffer.getvalue()), 97):
        path = tmp_path / f"{cut}.img"
        path.write_bytes(buffer.getvalue()[:cut] + b"\xff" * 64)
        for load in (load_rgb, load_stored):
            try:
                load(path)
            except SampleError as error:
                assert error.reason.startswith("image_")


def test_a_file_that_points_to_another_is_no_image(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "other.tif")
    vrt = (
        '<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f"<SourceFilename>{tmp_path / 'other.tif'}</SourceFilename><SourceBand>1</SourceBand>"
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    (tmp_path / "1.jpg").write_text(vrt)
    with pytest.raises(SampleError, match="image_unreadable"):
        load_rgb(tmp_path / "1.jpg")


def test_two_checkpoints_have_two_revisions(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    weights = bytearray(4 * 2**20)
    revisions = set()
    for value in (0, 1):
        weights[2 * 2**20] = value
        (tmp_path / "model.safetensors").write_bytes(weights)
        revisions.add(find_model(str(tmp_path)).revision)
    assert len(revisions) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"files": {"annotations": ["a.json"], "images": ["imgs/{file_name}"]}},
        {"files": {"annotations": ["a.json"], "images": ["imgs/{index}"]}},
        {"files": {"annotations": ["a.json"], "images": ["imgs/{filename"]}},
        {"files": {"annotations": ["a.json"], "images": []}},
        {"files": {"annotations": ["/abs/x"], "images": ["{filename}"]}},
        {"files": {"annotations": [""], "images": ["{filename}"]}},
        {"files": {"annotations": ["**x"], "images": ["{filename}"]}},
        {"numbering": {"per_class": 0, "classes": ["a"]}},
        {"bands": [0, 1, 2]},
        {"bands": ["B04", "B03", 2]},
        {"panel": {"number": 3, "of": 2}},
        {"panel": {"number": 0, "of": 2}},
    ],
    ids=str,
)
def test_a_manifest_mistake_is_one_line(tmp_path: Path, changes: dict[str, Any]) -> None:
    manifest = yaml.safe_load(find("manifests", "sydney").read_text())
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(manifest | changes))
    with pytest.raises(UserError, match=r"mine\.yaml: ") as caught:
        load_manifest(str(path))
    assert "\n" not in str(caught.value)


def test_a_key_given_twice_in_a_manifest_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("name: a\ntitle: A\nname: b\n")
    with pytest.raises(UserError, match=r"twice\.yaml: not YAML: key 'name' twice in .*line 3"):
        load_manifest(str(path))


def test_a_variable_used_only_when_asked_again_is_found_beforehand(tmp_path: Path) -> None:
    from lrs2m_builder.prepare import prepare

    recipe = (ROOT / "recipes" / "short_to_long.py").read_text().replace('"short_to_long.v1"', '"mine.jinja"')
    (tmp_path / "mine.py").write_text(recipe)
    (tmp_path / "mine.jinja").write_text("Describe. {{ image }} {{ hints[0] }}{% if problem %}{{ nosuch }}{% endif %}")
    with pytest.raises(UserError, match="'nosuch' is undefined"):
        prepare(toy_options(make_source(tmp_path, 2), tmp_path / "out", recipe=str(tmp_path / "mine.py")), FakeModule())


@pytest.mark.parametrize("line", ["import sys; sys.exit(3)", "RECIPE = Recipe('x', 1, (), (), steps=(1))"])
def test_a_recipe_of_ones_own_that_misbehaves_is_one_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"from lrs2m_builder.recipe import Recipe\n{line}\n")
    with pytest.raises(UserError, match=r"mine\.py"):
        load_recipe(str(path))


@pytest.mark.parametrize(
    "text", ["{% if hints | length > 9 %}{{ image }}{% endif %}", "{% for hint in 'ab' %}{{ image }}{% endfor %}"]
)
def test_an_image_that_stands_in_a_branch_or_loop_is_found_beforehand(tmp_path: Path, text: str) -> None:
    from lrs2m_builder.prepare import prepare

    recipe = (ROOT / "recipes" / "short_to_long.py").read_text().replace('"short_to_long.v1"', '"mine.jinja"')
    (tmp_path / "mine.py").write_text(recipe)
    (tmp_path / "mine.jinja").write_text("Describe it. " + text)
    with pytest.raises(UserError, match=r"\{\{ image \}\} came out [02] times"):
        prepare(toy_options(make_source(tmp_path, 2), tmp_path / "out", recipe=str(tmp_path / "mine.py")), FakeModule())


def test_a_recipe_of_ones_own_may_define_dataclasses(tmp_path: Path) -> None:
    recipe = (
        (ROOT / "recipes" / "merge.py").read_text().replace('"""\n\n', '"""\n\nfrom __future__ import annotations\n', 1)
    )
    path = tmp_path / "mine.py"
    path.write_text(recipe + "\nfrom dataclasses import dataclass\n\n@dataclass\nclass Own:\n    name: str\n")
    assert load_recipe(str(path)).recipe.name == "merge"


def test_options_are_numbers_texts_and_maps() -> None:
    assert parse_options("--sampling", ["stop=2020-01-01", "top-k=3"]) == {"stop": "2020-01-01", "top_k": 3}
    for value in ("abc", -1, 0, True):
        with pytest.raises(UserError, match="must be a positive number"):
            positive_options({"max_pixels": value}, ["max_pixels"])


def test_a_name_no_file_can_have_is_said(tmp_path: Path) -> None:
    source = make_source(tmp_path, 2)
    content = json.loads((tmp_path / "dataset.json").read_text())
    content["images"][1]["filename"] = "\ud800.jpg"
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="holds characters"):
        build_toy(source, tmp_path / "out")


def test_a_closed_pipe_is_no_traceback() -> None:
    command = f"{sys.executable} -m lrs2m_builder.cli sources ucmerced --json"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    for redirection in ("| true", ">&-", "> /dev/full"):
        line = f"{command} {redirection}"
        result = subprocess.run(line, shell=True, capture_output=True, text=True, env=environment, check=False)
        assert "Traceback" not in result.stderr, (redirection, result.stderr)


def test_the_demo_overwrites_nothing_of_the_users(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    from lrs2m_builder.demo import demo

    (tmp_path / "drawn.yaml").write_text("mine")
    with pytest.raises(UserError, match="holds other files"):
        demo(tmp_path)
    assert (tmp_path / "drawn.yaml").read_text() == "mine"
