"""A data set on a store or the Hub as a folder of this machine: what a command needs, copied once and kept current.

Statistics need the texts alone: of each file every column is read but the bytes of the images. What has not changed
since the last command is not read again.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.errors import UserError, one_line
from lrs2m_builder.files import disk_errors, finished_file, read_json, write_json
from lrs2m_builder.stores import open_readable
from lrs2m_builder.stores._base import ReadableStore, ReplacedError, StoredFile
from lrs2m_builder.terminal import say

TEXTS_AT_ONCE, WHOLE_AT_ONCE = 64, 8
_LEFT_OUT = ("journal", "staging", "plan", "telemetry")
_VERSIONS = "versions.json"
_IMAGE_BYTES = "image.bytes"


def data_folder(data: str, *, with_images: bool) -> Path:
    """The folder of a data set: the path itself, or for s3://BUCKET/PREFIX a copy in the folder for temporary files.

    Args:
        with_images: copy the bytes of the images too.

    Raises:
        UserError: the store cannot be read, there is nothing, or the disk is full.
    """
    if "://" not in data:
        return Path(data)
    store = open_readable(data)
    folder = store.scratch / ("copy" if with_images else "copy-of-texts")
    copy_of(data, store, folder, with_images=with_images)
    return folder


def copy_of(data: str, store: ReadableStore, folder: Path, *, with_images: bool) -> dict[Path, StoredFile]:
    """Make a folder the copy of a data set, unless it is one; other processes wait. Returns what each file is of.

    Raises:
        UserError: as `data_folder`.
    """
    found = {each.name: each for each in store.files() if each.name.partition("/")[0] not in _LEFT_OUT}
    if odd := next((name for name in found if {"..", ""} & set(name.split("/"))), None):
        raise UserError(f"{data}: an object is called {odd!r}, which is no path below a folder; rename it")
    if not any(name.endswith(".parquet") for name in found):
        raise UserError(f"{data}: no Parquet files; give the --out of a build")
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _keep_current(data, store, found, folder, with_images=with_images)
    return {folder / name: each for name, each in found.items()}


def _keep_current(
    data: str, store: ReadableStore, found: dict[str, StoredFile], folder: Path, *, with_images: bool
) -> None:
    before = _versions(folder)
    for name in before.keys() - found.keys():
        (folder / name).unlink(missing_ok=True)
    changed = [each for each in found.values() if before.get(each.name) != each.version]
    if changed:
        what = "its files are" if with_images else "its texts are"
        say(f"{data}: {what} copied to {folder} ({len(changed):,} of {len(found):,} files changed)")
    kept = {name: version for name, version in before.items() if name in found}
    for each in _copied(store, changed, folder, with_images=with_images):
        kept[each.name] = each.version
    write_json(folder.with_suffix(f".{_VERSIONS}"), kept)


def _versions(folder: Path) -> dict[str, str]:
    try:
        return read_json(folder.with_suffix(f".{_VERSIONS}"))
    except UserError:
        return {}


def _copied(store: ReadableStore, files: list[StoredFile], folder: Path, *, with_images: bool) -> Iterator[StoredFile]:
    def copy(found: StoredFile) -> StoredFile:
        try:
            with finished_file(folder / found.name) as part, store.open(found) as source:
                if with_images or not found.name.endswith(".parquet"):
                    with part.open("wb") as target:
                        shutil.copyfileobj(source, target, 4 * 2**20)
                else:
                    _copy_texts(pq.ParquetFile(source), part)
        except ReplacedError as error:
            where = f"{store.address}/{found.name}"
            raise UserError(f"{where}: changed while it was read; run the same command again") from error
        except pa.ArrowException as error:
            raise UserError(f"{store.address}/{found.name}: not a readable shard ({one_line(error)})") from error
        return found

    with ThreadPoolExecutor(WHOLE_AT_ONCE if with_images else TEXTS_AT_ONCE) as pool:
        yield from pool.map(copy, files)


def _copy_texts(source: pq.ParquetFile, part: Path) -> None:
    """Copy a Parquet file with no bytes for its images."""
    leaves = [source.schema.column(number).path for number in range(len(source.schema))]
    schema = source.schema_arrow
    with pq.ParquetWriter(part, schema, compression="zstd") as writer:
        for group in range(source.num_row_groups):
            table = source.read_row_group(group, columns=[leaf for leaf in leaves if leaf != _IMAGE_BYTES])
            writer.write_table(_with_no_bytes(table, schema), row_group_size=max(1, len(table)))


def _with_no_bytes(table: pa.Table, schema: pa.Schema) -> pa.Table:
    if "image" not in schema.names or not pa.types.is_struct(kind := schema.field("image").type):
        return table.select(schema.names).cast(schema)
    image = table["image"].combine_chunks()
    columns = [pa.nulls(len(table), field.type) if field.name == "bytes" else image.field(field.name) for field in kind]
    struct = pa.StructArray.from_arrays(columns, fields=list(kind))
    table = table.set_column(table.schema.get_field_index("image"), schema.field("image"), struct)
    return table.select(schema.names).cast(schema)
