"""The shipped demo captioner: small enough to ship, read by transformers, and served by vLLM in a real build."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from lrs2m_builder.engines.vllm import preview
from lrs2m_builder.exchange import Request
from lrs2m_builder.sample import CAPTIONER
from lrs2m_builder.sample.drawing.scene import draw_scene
from lrs2m_builder.sample.formats import MANIFEST, write_sample_source
from tests.toy import rows

SEED = 3000  # scenes that training did not see


def test_it_is_small_and_says_what_it_is() -> None:
    card = (CAPTIONER / "README.md").read_text()
    assert "demos and tests only" in card
    assert sum(path.stat().st_size for path in CAPTIONER.iterdir()) < 10 * 1024**2


def test_the_prompt_comes_to_few_tokens_and_an_image_to_36() -> None:
    chat = preview(str(CAPTIONER), "mllm", {})
    assert chat.image_size(224, 224) == (168, 168)
    request = Request("toy/1#0", 0, 1, "mllm", ("Describe.", "two planes at the airport"), 7, {})
    image = draw_scene(SEED, 0).image.resize((168, 168))
    assert 36 < chat.num_prompt_tokens(request, image) < 36 + 40


@pytest.mark.vllm
def test_a_real_build_of_drawn_scenes_names_the_classes_that_are_there(tmp_path: Path) -> None:
    write_sample_source("world", tmp_path / "scenes", 48, SEED)
    folder = tmp_path / "scenes"
    arguments = ["build", "--recipe", "short_to_long", "--source", str(folder / MANIFEST), "--data-dir", str(folder)]
    arguments += ["--out", str(tmp_path / "out"), "--model", str(CAPTIONER), "--json"]
    arguments += ["--max-attempts", "6"]  # it miscounts often; the check sees it
    command = [sys.executable, "-m", "lrs2m_builder.cli", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout.splitlines()[-1])
    assert report["samples"] == 48 and report["records"] >= 36
    kept = Counter[bool]()
    for row in rows(tmp_path / "out"):
        kept.update(anchor["class"] in row["caption_long"] for anchor in row["anchors"])
    assert kept[True] > 0.9 * kept.total()
