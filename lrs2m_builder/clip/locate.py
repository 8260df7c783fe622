"""Finds the files of a model: a folder, a weights file, or a name on the Hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lrs2m_builder.errors import UserError
from lrs2m_builder.stores.hub import file_sha256, files_revision, folder_revision, hub_errors

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
        _compare_sums(path)
        return Located(path, folder_revision(path))
    if path.is_file():
        return Located(path, files_revision([path]))
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
    repository, _, revision = name.partition("@")
    with hub_errors(name, "a data set from the Hub", "train"):
        from huggingface_hub import snapshot_download

        folder = snapshot_download(
            repository, repo_type="dataset", revision=revision or None, allow_patterns="*.parquet"
        )
    return Path(folder)


def write_sums(folder: Path) -> None:
    """Write the hashes of a folder's weights beside them, as `sha256sum` does; `locate` compares them."""
    lines = [f"{file_sha256(path)}  {path.name}\n" for path in sorted(folder.glob("*.safetensors"))]
    (folder / _SUMS).write_text("".join(lines), encoding="utf-8")


def _compare_sums(folder: Path) -> None:
    if not (folder / _SUMS).is_file():
        return
    stated = dict(line.split()[::-1] for line in (folder / _SUMS).read_text().splitlines() if len(line.split()) == 2)
    for name, digest in stated.items():
        path = folder / name
        if path.is_file() and file_sha256(path) != digest:
            raise UserError(
                f"{path}: damaged: its checksum is not the one of {folder / _SUMS}; copy the folder again, or of a "
                "training run remove it and run the same command again"
            )


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
    owner, model, *inside = name.split("/", 2)
    repository = f"{owner}/{model}"
    with hub_errors(name, "a model from the Hub", "train"):
        from huggingface_hub import HfApi, hf_hub_download, snapshot_download

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
