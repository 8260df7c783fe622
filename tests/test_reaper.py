"""The reaper ends what a killed program started, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from lrs2m_builder.engines._reaper import Reaper
from tests.toy import ROOT


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
        "import subprocess, time; from lrs2m_builder.engines._reaper import Reaper\n"
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
