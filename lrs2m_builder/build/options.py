"""The options of a build."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lrs2m_builder.errors import UserError
from lrs2m_builder.stores import open_store
from lrs2m_builder.stores._base import Store
from lrs2m_builder.stores.holding import Part

if TYPE_CHECKING:
    from lrs2m_builder.checks import Level

DEFAULT_SHARD_SIZE = 2000
DEFAULT_MAX_ATTEMPTS = 3
DEFAULT_STALL_MINUTES = 15.0
ImageStorage = Literal["embed", "reference"]
VerifyOption = Literal["off", "warn", "ask", "cut"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """The user's options.

    Attributes:
        recipe, source: name of a shipped one, or path of the user's own.
        data_dir: the folder of the source's files.
        out_dir: a folder, or s3://BUCKET/PREFIX.
        part: number and count of the part of the shards that is built, both from 1; None builds all.
        scratch: where files wait on their way to an object store; None is in the system's folder for temporary files.
        stall_minutes: how long an object store may not answer before the build ends.
        model: Hub name or folder; None uses the paper's model for the subset, from the manifest.
        engine_options, sampling: override the engine's and the recipe's.
        checks: levels by check name; "all" sets every check not named.
        images: whether rows contain their images or only the paths.
        system: the system prompt of every request; empty for no system prompt.
        verify: what a false claim of a text leads to when it is compared with the image; "off" compares nothing.
        verify_model: the judge; None uses the model that writes the texts.
        thresholds: by kind of claim, the probability below which it is false; without any those that lie beside the
            judge's weights (calibration.json), else 0.5.
        limit: maximum number of samples, from the first on.
        texts: number of long texts per image.
        retry_rejected: retry the rejected samples of finished shards.
        restart: move an earlier build in `out_dir` aside and start again.
        command: what `--resume` runs again, kept in build.json (see `build_file.py`); it changes nothing.
    """

    recipe: str
    source: str
    data_dir: Path | None
    out_dir: Path | str
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
    texts: int = 1
    retry_rejected: bool = False
    restart: bool = False
    part: Part | None = None
    scratch: Path | None = None
    stall_minutes: float = DEFAULT_STALL_MINUTES
    command: Mapping[str, Any] = field(default_factory=dict)


def parse_part(text: str) -> Part:
    """The part that I/N names.

    Raises:
        UserError: it names none.
    """
    number, slash, count = text.partition("/")
    if slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count):
        return int(number), int(count)
    raise UserError(f"--part {text}: write I/N with I from 1 to N, such as 1/8 for the first of eight parts")


def open_out(options: BuildOptions) -> Store:
    """Where a build is written, after a check that it can be.

    Raises:
        UserError: it cannot, or the options do not go together.
    """
    if options.part and options.restart:
        raise UserError("--restart: not with --part; give another --out, or move the earlier build away")
    if isinstance(options.out_dir, Path):
        if options.scratch:
            raise UserError("--scratch: only for an --out on an object store; a folder needs none")
        check_writable(options.out_dir)
        return open_store(str(options.out_dir))
    if options.restart:
        raise UserError("--restart: an object store cannot rename; give another --out, or delete the earlier build")
    store = open_store(options.out_dir, scratch=options.scratch, patience_s=options.stall_minutes * 60)
    check_writable(store.scratch, "--scratch")
    store.check()
    return store


def check_writable(out_dir: Path, option: str = "--out") -> None:
    """Check that a folder can be created and written, without creating it.

    Raises:
        UserError: it is a file, is below a file, or cannot be created or written.
    """
    try:
        str(out_dir).encode()  # pyarrow cannot write to another name
        there = out_dir.resolve()
        if there.exists() and not there.is_dir():
            raise UserError(f"{option} {out_dir}: is a file; give a folder")
        while not there.exists():
            there = there.parent
        if not there.is_dir():
            raise UserError(f"{option} {out_dir}: {there} is a file; give a folder")
        # Permissions are not enough: a mount may be read-only, a disk full, a folder in /proc. An unnamed file
        # disappears if the process is killed.
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"-")
    except UnicodeEncodeError as error:
        raise UserError(f"{option} {out_dir}: its name is not UTF-8; give another") from error
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{option} {out_dir}: cannot be written: {reason}; give a writable folder") from error
