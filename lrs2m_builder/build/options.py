"""What a user asks of a build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from lrs2m_builder.checks import Level

DEFAULT_SHARD_SIZE = 2000
DEFAULT_MAX_ATTEMPTS = 3
ImageStorage = Literal["embed", "reference"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """What the user asks for.

    Attributes:
        recipe, source: names of shipped ones or paths to the user's own.
        data_dir: the folder of the source's files.
        model: Hub name or folder; None takes the paper's model for the subset from the manifest.
        engine_options, sampling: override the engine's and the recipe's.
        checks: levels by check name; "all" stands for every check not named.
        images: whether rows hold their images or only their paths.
        system: the system prompt of every request; empty for none.
        limit: number of samples read at most, from the first on.
        retry_rejected: ask again for what finished shards rejected.
        restart: set an earlier build in `out_dir` aside and begin anew.
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
    retry_rejected: bool = False
    restart: bool = False
