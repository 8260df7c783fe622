"""A training on several machines: two torchrun agents that meet on loopback, each with a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import torch

from lrs2m_builder.train.named_configs import make_config
from lrs2m_builder.train.run import train
from tests.clip_toy import make_data
from tests.toy import ROOT
from tests.train_processes import losses

SETTINGS = ("max_steps=3", "checkpoint_every=2", "workers=1")
# Runs `lrs2m`; notes by rank what it creates, renames or removes in the run's folder.
NOTED = """
import os, sys
run, notes = sys.argv[1:3]
def note(event, arguments):
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if (writes or event in ("os.mkdir", "os.rename", "os.remove", "os.link")) and str(arguments[0]).startswith(run):
        descriptor = os.open(f"{notes}/{os.environ['RANK']}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, f"{event} {arguments[0]}\\n".encode())
        os.close(descriptor)
sys.addaudithook(note)
sys.argv[1:3] = []
from lrs2m_builder.cli import main
main()
"""


def node(rendezvous: str, script: Path, out: Path, notes: Path, data: Path) -> subprocess.Popen[str]:
    """A machine of the training: torchrun with one process."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    command += ["--rdzv-backend=c10d", f"--rdzv-endpoint={rendezvous}", str(script), str(out), str(notes)]
    command += ["train", str(data), "--config", "tiny", "--out", str(out)]
    command += [part for setting in (*SETTINGS, "batch_size=4") for part in ("--set", setting)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_two_machines_train_as_one_process_and_only_one_of_them_writes(tmp_path: Path) -> None:
    data, out, notes, script = make_data(tmp_path / "data"), tmp_path / "out", tmp_path / "notes", tmp_path / "noted.py"
    notes.mkdir()
    script.write_text(NOTED)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        rendezvous = f"127.0.0.1:{free.getsockname()[1]}"
    machines = [node(rendezvous, script, out, notes, data) for _ in range(2)]
    ends = [machine.communicate(timeout=300) for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], ends
    assert "".join(told for told, _ in ends) == f"{out / 'model'}\n"  # on one of them
    (writer,) = notes.iterdir()
    assert writer.name == "0" and "step-000002.pt" in writer.read_text()
    torch.set_num_threads(1)
    train(make_config("tiny", (*SETTINGS, "batch_size=8")), [data], out_dir=tmp_path / "one")
    torch.testing.assert_close(torch.tensor(losses(out)), torch.tensor(losses(tmp_path / "one")), rtol=2e-5, atol=0)
