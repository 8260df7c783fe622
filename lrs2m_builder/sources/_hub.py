"""A data set of the Hub, named by the user's JSON file and streamed once into a Parquet file beside it.

    {"id": "owner/name", "revision": "<commit>", "split": "train", "config": null, "limit": null}

So a resumed build, or the next one, reads the same rows without the network.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.errors import MissingExtraError, UserError
from lrs2m_builder.files import finished_file, write_json
from lrs2m_builder.images.cells import PARQUET_SUFFIX

NUM_AT_ONCE = 100  # rows per row group, including images
_KEYS = {"id", "revision", "split", "config", "limit"}


def fetched(path: Path, columns: Sequence[str]) -> Path:
    """The rows of a Hub data set as a Parquet file beside the file that names it; downloaded if it is missing.

    Raises:
        UserError: the file is not of that form, or the data set or a column cannot be loaded from the Hub.
    """
    try:
        content = path.read_bytes()
        request = json.loads(content)
        if not isinstance(request, dict) or not request.keys() <= _KEYS or not request.keys() >= {"id", "revision"}:
            raise ValueError('expected "id", "revision", and optionally "split", "config", "limit"')
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: does not name a data set of the Hub: {error}") from error
    # The name states the content: another revision or choice of columns is another file.
    digest = hashlib.sha256(content + json.dumps(sorted(columns)).encode()).hexdigest()[:12]
    parquet = path.with_name(f"{path.stem}.{digest}{PARQUET_SUFFIX}")
    if not parquet.exists():
        with finished_file(parquet) as part:
            _stream(request, columns, part)
    return parquet


def pinned(dataset: str, *, split: str, revision: str | None = None) -> list[Path]:
    """Write one file per split that names a Hub data set at its current revision, for `fetched`, into the user's cache.

    Args:
        split: "" for all splits.

    Raises:
        UserError: the Hub does not know it, or cannot be reached.
    """
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError as error:
        raise MissingExtraError("a data set of the Hub", "eval", error) from error
    try:
        commit = HfApi().dataset_info(dataset, revision=revision).sha
    except (
        HfHubHTTPError,
        HFValidationError,
        OSError,
        RuntimeError,
    ) as error:  # RuntimeError: the client is closed or offline
        raise UserError(f"{dataset}: cannot be loaded from the Hub: {' '.join(str(error).split())[:200]}") from error
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lrs2m" / "hub"
    paths = []
    for split_name in [split] if split else _split_names(dataset, str(commit)):
        paths.append(cache / f"{dataset.replace('/', '--')}.{split_name}.{str(commit)[:12]}.json")
        write_json(paths[-1], {"id": dataset, "revision": commit, "split": split_name})
    return paths


def _split_names(dataset: str, revision: str) -> list[str]:
    try:
        from datasets import get_dataset_split_names
    except ImportError as error:
        raise MissingExtraError("a data set of the Hub", "eval", error) from error
    with _hub_errors({"id": dataset, "revision": revision}):
        return list(get_dataset_split_names(dataset, revision=revision))


def column_names(path: Path) -> list[str]:
    """The columns of the data set named by a file; raises as `fetched`."""
    request = json.loads(path.read_bytes())
    with _hub_errors(request):
        rows = _open(request)
        return list(rows.column_names or next(iter(rows)))


@contextmanager
def _hub_errors(request: dict[str, Any]) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        where = f"{request['id']} at {request['revision']}"
        raise UserError(f"{where}: cannot be loaded from the Hub: {' '.join(str(error).split())}") from error


def _open(request: dict[str, Any]) -> Any:
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise MissingExtraError("a data set of the Hub", "vllm", error) from error
    return load_dataset(
        request["id"],
        request.get("config"),
        split=request.get("split") or "train",
        revision=request["revision"],
        streaming=True,
    )


def _stream(request: dict[str, Any], columns: Sequence[str], path: Path) -> None:
    with _hub_errors(request):
        rows = _open(request)
        from datasets import Image

        where = f"{request['id']} at {request['revision']}"
        have = rows.column_names or list(next(iter(rows)))
        if missing := sorted(set(columns) - set(have)):
            raise UserError(f"{where}: no column {missing[0]!r}; it has {', '.join(have)}")
        rows = rows.select_columns(list(dict.fromkeys(columns)))
        for name, feature in (rows.features or {}).items():
            rows = rows.cast_column(name, Image(decode=False)) if isinstance(feature, Image) else rows
        rows = rows.take(request["limit"]) if request.get("limit") else rows
        _write(rows, path)


def _write(rows: Any, path: Path) -> None:
    """Write rows as they are streamed; images that are only linked are downloaded too."""
    from datasets.table import embed_table_storage

    schema = rows.features.arrow_schema if rows.features else None
    writer = None
    try:
        for batch in rows.iter(NUM_AT_ONCE):
            table = embed_table_storage(pa.table(batch, schema=schema))
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        raise ValueError("it has no rows")
