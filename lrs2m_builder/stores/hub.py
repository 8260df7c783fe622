"""Files from the Hub and revisions of local ones, for every kind of model and data set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from lrs2m_builder.errors import MissingExtraError, ModelNotHereError, UserError

_TRANSPORTS = {"httpx", "httpx2"}  # the client's, which differ by its version


@contextmanager
def hub_errors(name: str, feature: str, extra: str) -> Iterator[None]:
    """Turn the errors of the Hub's client, which is imported and called in the block, into one line.

    Args:
        name: what is asked for, as the message begins.
        feature: what needs the client, and `extra` brings.

    Raises:
        MissingExtraError: the client is not installed.
        ModelNotHereError: the Hub cannot be reached, and its local cache has no copy.
        UserError: the name is wrong, or a gated one.
    """
    try:
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingExtraError(feature, extra, error) from error
    try:
        yield
    except Exception as error:
        known = (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError)
        if not isinstance(error, known) and type(error).__module__.partition(".")[0] not in _TRANSPORTS:
            raise
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        kind = UserError if isinstance(error, HfHubHTTPError | HFValidationError) else ModelNotHereError
        raise kind(
            f"{name}: no such file or folder, and the Hub did not give it ({type(error).__name__}: {first_line}); "
            "check the name, the network and, if it is gated, `hf auth login`"
        ) from error


def folder_revision(folder: Path) -> str:
    """A hash of all files of a folder: two checkpoints that differ in one weight differ in it."""
    return files_revision(entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith("."))


def files_revision(paths: Iterable[Path]) -> str:
    """A hash of the names and the content of files."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.name}\x00{file_sha256(path)}\x00".encode())
    return f"sha256:{digest.hexdigest()[:16]}"


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file; a model of many gigabytes, looked for several times in one run, is read once."""
    stat = path.stat()
    return _file_sha256(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=1024)
def _file_sha256(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
