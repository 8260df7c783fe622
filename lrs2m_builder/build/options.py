"""The options of a build."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lrs2m_builder.errors import UserError

if TYPE_CHECKING:
    from lrs2m_builder.checks import Level

DEFAULT_SHARD_SIZE = 2000
DEFAULT_MAX_ATTEMPTS = 3
ImageStorage = Literal["embed", "reference"]
VerifyOption = Literal["off", "warn", "ask", "cut"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """The user's options.

    Attributes:
        recipe, source: name of a shipped one, or path of the user's own.
        data_dir: the folder of the source's files.
        model: Hub name or folder; None uses the paper's model for the subset, from the manifest.
        engine_options, sampling: override the engine's and the recipe's.
        checks: levels by check name; "all" sets every check not named.
        images: whether rows contain their images or only the paths.
        system: the system prompt of every request; empty for no system prompt.
        verify: what a false claim of a text leads to when it is compared with the image; "off" compares nothing.
        verify_model: the judge; None uses the model that writes the texts.
        thresholds: by kind of claim, the probability below which it is false.
        limit: maximum number of samples, from the first on.
        retry_rejected: retry the rejected samples of finished shards.
        restart: move an earlier build in `out_dir` aside and start again.
    """

    recipe: str
    source: str
    data_dir: Path | None
    out_dir: Path
    engine: str = "vllm"
    model: str | None = None
    engine_options: Mapping[str, Any] = field(default_factory=dict)
    sampling: Mapping[str, Any] = field(default_factory=dict)
    checks: Mapping[str, Level] = field(default_factory=dict)
    images: ImageStorage = "embed"
    limit: int | None = None
    shard_size: int = DEFAULT_SHARD_SIZE
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    seed: int = 0
    system: str = ""
    verify: VerifyOption = "off"
    verify_model: str | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    retry_rejected: bool = False
    restart: bool = False


def check_writable(out_dir: Path) -> None:
    """Check that a folder can be created and written, without creating it.

    Raises:
        UserError: it is a file, is below a file, or cannot be created or written.
    """
    try:
        str(out_dir).encode()  # pyarrow cannot write to another name
        there = out_dir.resolve()
        if there.exists() and not there.is_dir():
            raise UserError(f"--out {out_dir}: is a file; give a folder")
        while not there.exists():
            there = there.parent
        if not there.is_dir():
            raise UserError(f"--out {out_dir}: {there} is a file; give a folder")
        # Permissions are not enough: a mount may be read-only, a disk full, a folder in /proc. An unnamed file
        # disappears if the process is killed.
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"-")
    except UnicodeEncodeError as error:
        raise UserError(f"--out {out_dir}: its name is not UTF-8; give another") from error
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"--out {out_dir}: cannot be written: {reason}; give a writable folder") from error
