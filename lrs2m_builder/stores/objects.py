"""An object store (S3 and what speaks its protocol) as a store; needs the extra 'scale'.

Credentials, region and endpoint are those that botocore finds (AWS_PROFILE, AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...);
no message repeats what a server says of them. Only finished local files are uploaded: a stream of the library that is
interrupted would publish its beginning.
"""

from __future__ import annotations

import functools
import hashlib
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from lrs2m_builder.errors import MissingExtraError, UserError
from lrs2m_builder.files import disk_errors
from lrs2m_builder.stores._base import (
    ReplacedError,
    StoredFile,
    StoreUnavailable,
    check_conditions,
    file_digest,
    ignores_conditions,
    is_hidden,
    writer_name,
)
from lrs2m_builder.stores.object_errors import code_and_status, reason_of, refusal
from lrs2m_builder.stores.range_file import RangeFile
from lrs2m_builder.terminal import say

PATIENCE_S = 900.0  # how long a store may not answer
PART_SIZE = 64 * 2**20
PARALLEL = 64  # requests at once, where many small ones are needed
_DRAFTS = "drafts"
_ONCE_MORE_S = 5.0
_MAX_PUT = 5 * 10**9  # of one request

_BUSY_STATUS = {409, 429, 500, 502, 503, 504}
_BUSY = {"RequestTimeout", "SlowDown", "NoSuchUpload"}  # the last: a finished upload in parts whose answer was lost

_T = TypeVar("_T")


class _TakenError(Exception):
    """The condition of a write was not met."""


class ObjectStore:
    """A `Store` in a bucket, below a prefix."""

    def __init__(
        self,
        address: str,
        *,
        scratch: Path | None = None,
        patience_s: float = PATIENCE_S,
        part_size: int = PART_SIZE,
        replica: str = "",
    ) -> None:
        """Args:
        address: s3://BUCKET or s3://BUCKET/PREFIX.
        scratch: folder of this machine for unpublished files; by default one in the system's folder for temporary
            files, the same for the same address.
        patience_s: how long to retry before StoreUnavailable.
        part_size: bytes; files of two parts or more are uploaded in parts.
        replica: name of a folder in the scratch folder, for one of several processes of a machine.
        """
        try:
            from s3fs import S3FileSystem
        except ImportError as error:
            raise MissingExtraError("an object store", "scale", error) from error
        scheme, _, rest = address.partition("://")
        if scheme != "s3" or not rest or rest.startswith("/"):
            raise UserError(f"{address}: not the address of an object store; give s3://BUCKET/PREFIX")
        self._root = rest.strip("/")
        self.address = f"s3://{self._root}"
        self._bucket, _, self._prefix = self._root.partition("/")
        self._patience_s, self._part_size = patience_s, part_size
        self._scratch, self._replica = scratch, replica
        self._is_away = False  # it was waited for in vain: the next call does not wait as long again
        # Retries are made here, where a lost answer is understood: one attempt per call of the libraries below.
        config = {"connect_timeout": 10, "read_timeout": 60, "retries": {"total_max_attempts": 1}}
        config["max_pool_connections"] = PARALLEL
        self._s3 = S3FileSystem(
            config_kwargs=config, max_concurrency=4, use_listings_cache=False, skip_instance_cache=True
        )
        self._s3.retries = 1

    def __reduce__(self) -> tuple[Any, ...]:
        """For worker processes, each with connections of its own."""
        options: dict[str, Any] = {
            "scratch": self._scratch,
            "patience_s": self._patience_s,
            "part_size": self._part_size,
            "replica": self._replica,
        }
        return functools.partial(ObjectStore, **options), (self.address,)

    @property
    def folder(self) -> None:
        return None

    @property
    def scratch(self) -> Path:
        """Below the given folder, one for each store, and in it one for each replica."""
        return self.replicas / self._replica if self._replica else self.replicas.parent

    @property
    def replicas(self) -> Path:
        """The scratch folders of the replicas of this machine."""
        name = hashlib.sha256(self.address.encode()).hexdigest()[:16]
        base = self._scratch or Path(tempfile.gettempdir(), f"lrs2m-{os.getuid()}")
        return base / f"{self._bucket}-{name}" / "replicas"

    def with_replica(self, name: str) -> ObjectStore:
        """This store with another scratch folder."""
        return ObjectStore(
            self.address,
            scratch=self._scratch,
            patience_s=self._patience_s,
            part_size=self._part_size,
            replica=name,
        )

    def check(self) -> None:
        self._check_scratch()
        check_conditions(self)
        self._check_parts()

    @contextmanager
    def draft(self, name: str) -> Iterator[Path]:
        path = self.scratch / _DRAFTS / f"{writer_name()}-{name.rpartition('/')[2]}"
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                yield path
            finally:
                with suppress(OSError):
                    path.unlink(missing_ok=True)

    def publish(self, name: str, file: Path) -> bool:
        return self._put(name, file, mode="create", chunksize=self._part_size)

    def replace(self, name: str, file: Path, version: str) -> bool:
        size = file.stat().st_size
        if size > _MAX_PUT:
            raise UserError(f"{self.address}/{name}: over 5 GB, which cannot be replaced; use a smaller --shard-size")
        # In one request: s3fs does not pass IfMatch on to the end of an upload in parts.
        return self._put(name, file, IfMatch=f'"{version}"', chunksize=max(self._part_size, size))

    def read(self, name: str) -> bytes | None:
        return self._call(lambda: bytes(self._s3.cat_file(f"{self._root}/{name}")), name)

    def open(self, found: StoredFile) -> BinaryIO:
        def fetch(start: int, end: int) -> bytes:
            try:
                content = self._call(lambda: self._range(found, start, end), found.name)
            except _TakenError as error:
                raise ReplacedError from error
            if content is None:
                raise ReplacedError
            return content

        return cast(BinaryIO, RangeFile(found.size, fetch))

    def _range(self, found: StoredFile, start: int, end: int) -> bytes:
        from fsspec.asyn import sync

        async def get() -> bytes:
            place = {"Bucket": self._bucket, "Key": self._key(found.name)}
            answer = await self._s3._call_s3(
                "get_object", **place, Range=f"bytes={start}-{end - 1}", IfMatch=f'"{found.version}"'
            )
            async with answer["Body"] as body:
                return bytes(await body.read())

        return bytes(sync(self._s3.loop, get))

    def find(self, name: str) -> StoredFile | None:
        head = self._head(name)
        return StoredFile(name, int(head["ContentLength"]), _version(head)) if head else None

    def files(self, folder: str = "") -> Iterator[StoredFile]:
        place = f"{self._root}/{folder}".rstrip("/")
        found = self._call(lambda: self._s3.find(place, detail=True), folder) or {}
        for path in sorted(found):
            name = path.removeprefix(f"{self._root}/")
            if not is_hidden(name) and not name.endswith("/"):
                yield StoredFile(name, int(found[path]["size"]), _version(found[path]))

    def delete(self, name: str) -> None:
        self._call(lambda: self._s3.call_s3("delete_object", Bucket=self._bucket, Key=self._key(name)), name)

    def sweep(self, folders: Sequence[str], is_ours: Callable[[str], bool]) -> None:
        """Of this machine's scratch folder: an object store has nothing half written."""
        mine = writer_name().rpartition("-")[0].rpartition("-")[0]
        for path in (self.scratch / _DRAFTS).glob(f"{mine}-*"):
            pid = path.name.removeprefix(f"{mine}-").partition("-")[0]
            if pid.isdecimal() and not Path("/proc", pid).exists():
                with suppress(OSError):
                    path.unlink()

    def set_aside(self, name: str) -> str:
        raise UserError(f"{self.address}/{name}: cannot be used; move it away and run the same command again")

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    def _head(self, name: str) -> dict[str, Any] | None:
        return self._call(lambda: self._s3.call_s3("head_object", Bucket=self._bucket, Key=self._key(name)), name)

    def _check_scratch(self) -> None:
        """Raises:
        UserError: the scratch folder cannot be made, or is another user's.
        """
        with disk_errors(self.scratch):
            self.scratch.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.scratch.mkdir(exist_ok=True)
            if self.scratch.stat().st_uid != os.getuid():
                raise UserError(f"{self.scratch}: belongs to another user; give a folder of your own as --scratch")

    def _check_parts(self) -> None:
        """Raises:
        UserError: the store ignores the condition of an upload in parts, as some do that honour it otherwise.
        """
        name = f".probe-{secrets.token_hex(8)}"
        place = {"Bucket": self._bucket, "Key": self._key(name)}
        self._call(lambda: self._s3.call_s3("put_object", **place, Body=b"first"), name)
        upload = self._call(lambda: self._s3.call_s3("create_multipart_upload", **place), name) or {}
        place["UploadId"] = upload["UploadId"]
        part = self._call(lambda: self._s3.call_s3("upload_part", **place, PartNumber=1, Body=b"second"), name) or {}
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        try:
            self._call(
                lambda: self._s3.call_s3("complete_multipart_upload", **place, MultipartUpload=parts, IfNoneMatch="*"),
                name,
            )
        except _TakenError:
            self._call(lambda: self._abort(place), name)
        else:
            raise ignores_conditions(self)
        finally:
            self.delete(name)

    def _abort(self, place: dict[str, Any]) -> None:
        """End an upload in parts; one that is gone was ended by an earlier call, whose answer was lost."""
        try:
            self._s3.call_s3("abort_multipart_upload", **place)
        except OSError as error:
            if code_and_status(error)[0] != "NoSuchUpload":
                raise

    def _put(self, name: str, file: Path, **condition: Any) -> bool:
        digest = file_digest(file)
        path = f"{self._root}/{name}"

        def put() -> bool:
            self._s3.put_file(str(file), path, Metadata={"sha256": digest}, **condition)
            return True

        try:
            # None: there is no version to replace.
            return bool(self._call(put, name))
        except _TakenError:
            # Perhaps by this very call: an earlier attempt was carried out, and its answer was lost.
            return self._holds(name, digest)

    def _holds(self, name: str, digest: str) -> bool:
        head = self._head(name)
        if head is None:
            return False
        stored = head.get("Metadata", {}).get("sha256")
        if stored is None:  # written by another program
            stored = hashlib.sha256(self.read(name) or b"").hexdigest()
        return bool(stored == digest)

    def _call(self, action: Callable[[], _T], name: str) -> _T | None:
        """The action's result, after retries; None if there is no such object.

        Raises:
            _TakenError: the condition of a write was not met.
        """
        import tenacity
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.exceptions import ConnectionError as BotoConnectionError
        from s3fs.core import S3_RETRYABLE_ERRORS

        connection_errors = (BotoConnectionError, *S3_RETRYABLE_ERRORS)

        def may_pass(error: BaseException) -> bool:
            code, status = code_and_status(error)
            return status in _BUSY_STATUS or code in _BUSY or (not code and isinstance(error, connection_errors))

        def say_once(state: tenacity.RetryCallState) -> None:
            if state.attempt_number == 5 and state.outcome:
                reason = reason_of(state.outcome.exception())
                say(f"{self.address}: {reason}; trying again for at most {self._patience_s:.0f} seconds")

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(may_pass),
            stop=tenacity.stop_before_delay(min(self._patience_s, _ONCE_MORE_S) if self._is_away else self._patience_s),
            wait=tenacity.wait_random_exponential(multiplier=0.2, max=30),
            before_sleep=say_once,
            reraise=True,
        )
        try:
            result = retrying(action)
            self._is_away = False
            return result
        except (OSError, BotoCoreError, ClientError, *connection_errors) as error:
            code, status = code_and_status(error)
            if status == 412:
                raise _TakenError from error
            if code in ("404", "NoSuchKey") or (not code and isinstance(error, FileNotFoundError)):
                return None
            place = f"{self.address}/{name}" if name else self.address
            if may_pass(error):
                self._is_away = True
                raise StoreUnavailable(
                    f"{place}: {reason_of(error)} for {self._patience_s:.0f} seconds; finished files are safe: "
                    "run the same command again when the store answers"
                ) from error
            raise UserError(refusal(error, code, self._bucket, place)) from error


def _version(found: dict[str, Any]) -> str:
    return str(found["ETag"]).strip('"')
