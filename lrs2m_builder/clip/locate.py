"""Finds the files of a model: a folder, a weights file, or a name on the Hub."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lrs2m_builder.errors import MissingExtraError, UserError

# In this order: a folder may hold the same model twice.
_KNOWN_WEIGHTS = (
    "model.safetensors",
    "pytorch_model.bin",
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
_WEIGHT_SUFFIXES = {".safetensors", ".bin", ".pt", ".pth"}


@dataclass(frozen=True, slots=True)
class Located:
    """A model's file or folder on this machine, and "sha256:..." of it or the Hub's commit."""

    path: Path
    revision: str


def locate(name: str, revision: str | None = None) -> Located:
    """Look a model up by path or Hub name (`owner/model`, `owner/model/path/in/it.pt`).

    Raises:
        UserError: it is neither there nor on the Hub (or in its local cache).
    """
    path = Path(name).expanduser()
    if path.is_dir():
        files = (entry for entry in path.iterdir() if entry.is_file() and not entry.name.startswith("."))
        return Located(path, hash_files(files))
    if path.is_file():
        return Located(path, hash_files([path]))
    if name.startswith((".", "/", "~")) or name.count("/") < 1:
        raise UserError(f"{name}: no such file or folder, and not a Hub name (owner/model)")
    return _from_hub(name, revision)


def locate_data(name: str) -> Path:
    """Parquet by its path, or that of a data set by its Hub name, `owner/name[@revision]`.

    Raises:
        UserError: it is neither there nor on the Hub (or in its local cache).
    """
    path = Path(name).expanduser()
    if path.exists():
        return path
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise UserError(f"{name}: no such file or folder, and not a data set's Hub name (owner/name)")
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingExtraError("a data set from the Hub", "train", error) from error
    repository, _, revision = name.partition("@")
    try:
        folder = snapshot_download(
            repository, repo_type="dataset", revision=revision or None, allow_patterns="*.parquet"
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{name}: no such file or folder, and the Hub did not give it ({first_line})") from error
    return Path(folder)


def hash_files(paths: Iterable[Path]) -> str:
    """A hash of the files' names and content: two checkpoints that differ in one weight differ in it."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        with path.open("rb") as file:
            digest.update(f"{path.name}\x00{hashlib.file_digest(file, 'sha256').hexdigest()}\x00".encode())
    return f"sha256:{digest.hexdigest()[:16]}"


def find_weights(folder: Path) -> Path:
    """The weights file of a folder.

    Raises:
        UserError: there is none, or there are several of unknown names.
    """
    if known := [folder / name for name in _KNOWN_WEIGHTS if (folder / name).is_file()]:
        return known[0]
    names = sorted(path.name for path in folder.iterdir() if path.suffix in _WEIGHT_SUFFIXES)
    return folder / _only_one(names, str(folder))


def _only_one(names: list[str], where: str) -> str:
    if len(names) != 1:
        found = f"several weights files ({', '.join(names[:4])})" if names else "no weights file"
        raise UserError(f"{where}: {found}; give the path of the one to load, such as {where}/model.pt")
    return names[0]


def _from_hub(name: str, revision: str | None) -> Located:
    try:
        from huggingface_hub import HfApi, hf_hub_download, snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingExtraError("a model from the Hub", "train", error) from error
    owner, model, *inside = name.split("/", 2)
    repository = f"{owner}/{model}"
    try:
        if inside:
            path = Path(hf_hub_download(repository, inside[0], revision=revision))
            return Located(path, path.parts[-inside[0].count("/") - 2])
        small = ["*.json", "*.txt", "*.safetensors"]
        folder = Path(snapshot_download(repository, revision=revision, allow_patterns=small, ignore_patterns="*/*"))
        if not any(path.suffix in _WEIGHT_SUFFIXES for path in folder.iterdir()):
            files = HfApi().list_repo_files(repository, revision=revision)
            weights = sorted(file for file in files if Path(file).suffix in _WEIGHT_SUFFIXES)
            top = [file for file in weights if file in _KNOWN_WEIGHTS]
            hf_hub_download(repository, top[0] if top else _only_one(weights, name), revision=folder.name)
        return Located(folder, folder.name)
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{name}: no such file or folder, and the Hub did not give it ({type(error).__name__}: {first_line}); "
            "check the name, the network and, for a gated model, `hf auth login`"
        ) from error
