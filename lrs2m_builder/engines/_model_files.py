"""Finds a model's files: a local folder, or the Hub's copy of a name."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from lrs2m_builder.errors import MissingExtraError, ModelNotHereError, UserError


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model that is there.

    Attributes:
        path: what the engine is given to load: the folder, or the Hub name.
        revision: the Hub commit, or "sha256:..." of a local folder's files.
        config: its config.json.
    """

    name: str
    path: str
    revision: str
    config: dict[str, Any]
    is_local: bool

    @property
    def max_length(self) -> int | None:
        """Longest prompt and answer in tokens that the model was made for, if its config says so."""
        text = self.config.get("text_config") or self.config.get("llm_config") or self.config
        length = text.get("max_position_embeddings") or self.config.get("max_position_embeddings")
        return int(length) if length else None

    def file(self, name: str) -> Path | None:
        """One of its files; None if it has none of that name."""
        if self.is_local:
            path = Path(self.path) / name
            return path if path.is_file() else None
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        try:
            return Path(hf_hub_download(self.name, name, revision=self.revision))
        except (EntryNotFoundError, LocalEntryNotFoundError):
            return None


def find_model(name: str, revision: str | None = None, extra: str = "vllm") -> ModelFiles:
    """Look a model up by folder or Hub name.

    Args:
        extra: what to install if the Hub's client is missing.

    Raises:
        UserError: it is neither a folder with a config.json nor a name the Hub (or its local cache) knows.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        config_path = folder / "config.json"
        if not config_path.is_file():
            raise UserError(f"--model {name}: the folder has no config.json; give the folder of a transformers model")
        return ModelFiles(name, str(folder), _folder_revision(folder), _read_config(config_path), is_local=True)
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise UserError(f"--model {name}: no such folder, and not a Hub name (owner/model)")
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingExtraError("a model from the Hub", extra, error) from error
    try:
        config_path = Path(hf_hub_download(name, "config.json", revision=revision))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        # A name that the Hub knows not, or that is gated, is wrong wherever the files are.
        kind = UserError if isinstance(error, HfHubHTTPError | HFValidationError) else ModelNotHereError
        raise kind(
            f"--model {name}: no such folder, and the Hub did not give it ({type(error).__name__}: {first_line}); "
            "check the name, the network and, for a gated model, `hf auth login`"
        ) from error
    return ModelFiles(name, name, config_path.parent.name, _read_config(config_path), is_local=False)


@lru_cache(maxsize=1024)
def _file_hash(path: Path, size: int, changed: int) -> str:
    """The file's sha256; a model of many gigabytes, looked for several times in one build, is read once."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a model configuration: {error}") from error
    if not isinstance(config, dict):
        raise UserError(f"{path}: not a model configuration")
    return config


def _folder_revision(folder: Path) -> str:
    """A hash of all files of the folder: two checkpoints that differ in one weight differ in it."""
    digest = hashlib.sha256()
    for path in sorted(entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith(".")):
        stat = path.stat()
        digest.update(f"{path.name}\x00{_file_hash(path, stat.st_size, stat.st_mtime_ns)}\x00".encode())
    return f"sha256:{digest.hexdigest()[:16]}"
