"""A small random model in a folder and the command line on it, for the tests of `lrs2m eval`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any
from unittest import mock

from lrs2m_builder.clip.model import random_model
from lrs2m_builder.clip.save import save
from tests.in_process import lrs2m


def tiny_model(folder: Path) -> Path:
    """A CLIP of 248 tokens and random weights as transformers loads it; written once a folder."""
    path = folder / "tiny"
    if not path.exists():
        save(random_model(context_length=248), path, open_clip=False)
    return path


def lrs2m_eval(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `lrs2m eval` as a user would, without a network, but in this process: torch takes seconds to import."""
    with mock.patch("huggingface_hub.constants.HF_HUB_OFFLINE", True):
        found = lrs2m("eval", *words)
    return subprocess.CompletedProcess(list(map(str, words)), found.code, found.out, found.err)


def evaluated(*words: str | Path) -> dict[str, Any]:
    """The JSON that it prints."""
    found = lrs2m_eval(*words, "--json")
    assert found.returncode == 0, found.stderr
    result: dict[str, Any] = json.loads(found.stdout)
    return result


def refused(*words: str | Path) -> str:
    """The one line that it stops with."""
    found = lrs2m_eval(*words)
    assert found.returncode == 2 and not found.stdout, (found.stdout, found.stderr)
    lines = found.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), found.stderr
    return lines[0]
