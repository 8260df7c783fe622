"""Finds the files of a model: a folder, a weights file, or a name on the Hub."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lrs2m_builder.errors import MissingExtraError, UserError

INDEX_SUFFIX = ".index.json"  # of the index of weights split into several files
# In this order: a folder may hold the same model twice.
_KNOWN_WEIGHTS = (
    "model.safetensors",
    f"model.safetensors{INDEX_SUFFIX}",
    "pytorch_model.bin",
    f"pytorch_model.bin{INDEX_SUFFIX}",
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
_SUMS = ".sha256sums"  # checksums in a folder written by this program
_WEIGHT_SUFFIXES = {".safetensors", ".bin", ".pt", ".pth"}


@dataclass(frozen=True, slots=True)
class Located:
    """A model's local file or folder, and its "sha256:..." or the Hub's commit."""

    path: Path
    revision: str


def locate(name: str, revision: str | None = None) -> Located:
    """Find a model by path or Hub name (`owner/model`, `owner/model/path/in/it.pt`).

    Raises:
        UserError: it is neither there nor on the Hub (or in its local cache).
    """
    path = Path(name).expanduser()
    if path.is_dir():
        files = (entry for entry in path.iterdir() if entry.is_file() and not entry.name.startswith("."))
        digests = {file: _hash(file) for file in files}
        _compare_sums(path, digests)
        return Located(path, _hash_of(digests))
    if path.is_file():
        return Located(path, hash_files([path]))
    if name.startswith((".", "/", "~")) or name.count("/") < 1:
        raise UserError(f"{name}: no such file or folder, and not a Hub name (owner/model)")
    return _from_hub(name, revision)


def locate_data(name: str) -> Path:
    """Find Parquet data by path, or a data set by its Hub name, `owner/name[@revision]`.

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
    """A hash of the files' names and content."""
    return _hash_of({path: _hash(path) for path in paths})


def write_sums(folder: Path) -> None:
    """Write the hashes of a folder's weights beside them, as `sha256sum` does; `locate` compares them."""
    lines = [f"{_hash(path)}  {path.name}\n" for path in sorted(folder.glob("*.safetensors"))]
    (folder / _SUMS).write_text("".join(lines), encoding="utf-8")


def _compare_sums(folder: Path, digests: Mapping[Path, str]) -> None:
    if not (folder / _SUMS).is_file():
        return
    stated = dict(line.split()[::-1] for line in (folder / _SUMS).read_text().splitlines() if len(line.split()) == 2)
    for path, digest in digests.items():
        if stated.get(path.name, digest) != digest:
            raise UserError(
                f"{path}: damaged: its checksum is not the one of {folder / _SUMS}; copy the folder again, or of a "
                "training run remove it and run the same command again"
            )


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash_of(digests: Mapping[Path, str]) -> str:
    whole = hashlib.sha256()
    for path in sorted(digests):
        whole.update(f"{path.name}\x00{digests[path]}\x00".encode())
    return f"sha256:{whole.hexdigest()[:16]}"


def find_weights(folder: Path) -> Path:
    """The weights file of a folder.

    Raises:
        UserError: the folder has no weights file, or several with unknown names.
    """
    if weights := [folder / name for name in _KNOWN_WEIGHTS if (folder / name).is_file()]:
        return weights[0]
    names = sorted(path.name for path in folder.iterdir() if path.suffix in _WEIGHT_SUFFIXES)
    return folder / _only_one(names, str(folder))


def _only_one(names: list[str], where: str) -> str:
    if len(names) != 1:
        problem = f"several weights files ({', '.join(names[:4])})" if names else "no weights file"
        advice = f"give the path of the one to load, such as {where}/{names[0]}" if names else "give another folder"
        raise UserError(f"{where}: {problem}; {advice}")
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
            top = [file for file in _KNOWN_WEIGHTS if file in files]
            chosen = top[0] if top else _only_one(weights, name)
            parts = [file for file in weights if Path(file).name == file and file.endswith(".bin")]
            for file in parts if chosen.endswith(INDEX_SUFFIX) else [chosen]:
                hf_hub_download(repository, file, revision=folder.name)
        return Located(folder, folder.name)
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{name}: no such file or folder, and the Hub did not give it ({type(error).__name__}: {first_line}); "
            "check the name, the network and, for a gated model, `hf auth login`"
        ) from error
