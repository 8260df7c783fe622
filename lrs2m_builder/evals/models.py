"""Opens the model of an evaluation: a baseline by its short name, a training run, or what `clip.model.load` takes."""

from __future__ import annotations

from pathlib import Path

import torch

from lrs2m_builder.clip.model import Loaded, load
from lrs2m_builder.errors import UserError, nearest
from lrs2m_builder.evals.baselines import baselines


def open_model(
    name: str, *, device: str | None = None, context_length: int | None = None, revision: str | None = None
) -> Loaded:
    """Load a model to evaluate it.

    Args:
        name: a short name of models.yaml, the folder of a training run, or what `clip.model.load` takes.
        device: default: the first GPU, or the CPU.
        context_length: tokens; default: the baseline's, or the model's own. More than its own stretches it by KPS.

    Raises:
        UserError: there is no such model, or no such device.
    """
    known = baselines().get(name)
    if known is None and "/" not in name and not Path(name).exists():
        near = nearest(name, baselines()) or ";"
        raise UserError(f"no model {name!r}{near} give a folder, a Hub name, or one of {', '.join(baselines())}")
    context = context_length or (known.context if known else None)
    return load(
        known.id if known else model_path(name), context_length=context, device=find_device(device), revision=revision
    )


def model_path(name: str) -> str:
    """The model inside the folder of a training run; any other name as it is."""
    run = Path(name).expanduser()
    is_model = any((run / "model" / name).is_file() for name in ("config.json", "open_clip_config.json"))
    is_run = (run / "config.json").is_file() and is_model
    return str(run / "model") if is_run else name


def find_device(name: str | None) -> str:
    """The device of that name, by default the first GPU or else the CPU.

    Raises:
        UserError: there is no such device.
    """
    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {name}: {str(error).splitlines()[0]}") from error
    return name
