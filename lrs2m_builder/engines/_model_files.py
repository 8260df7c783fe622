"""Finds a model's files: a local folder, or the Hub's copy of a name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrs2m_builder.errors import UserError
from lrs2m_builder.stores.hub import folder_revision, hub_errors


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
        return ModelFiles(name, str(folder), folder_revision(folder), _read_config(config_path), is_local=True)
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise UserError(f"--model {name}: no such folder, and not a Hub name (owner/model)")
    with hub_errors(f"--model {name}", "a model from the Hub", extra):
        from huggingface_hub import hf_hub_download

        config_path = Path(hf_hub_download(name, "config.json", revision=revision))
    return ModelFiles(name, name, config_path.parent.name, _read_config(config_path), is_local=False)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a model configuration: {error}") from error
    if not isinstance(config, dict):
        raise UserError(f"{path}: not a model configuration")
    return config
