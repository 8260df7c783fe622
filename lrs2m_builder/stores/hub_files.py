"""The files of a data set on the Hub, read in parts as those of an object store: hf://datasets/OWNER/NAME[@REVISION]."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, cast

from lrs2m_builder.errors import UserError
from lrs2m_builder.stores._base import StoredFile, is_hidden
from lrs2m_builder.stores.hub import hub_errors
from lrs2m_builder.stores.range_file import RangeFile

SCHEME = "hf://"
_ADDRESS = re.compile(r"hf://datasets/([\w.-]+/[\w.-]+)(?:@([\w./-]+))?/?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_FEATURE = "a data set on the Hub"


class HubFiles:
    """A `ReadableStore`: a data set at one commit, the newest of its revision when it is first asked for a file."""

    def __init__(self, address: str) -> None:
        """Args:
        address: hf://datasets/OWNER/NAME, followed by @ and a branch, tag or commit if it is not `main`.
        """
        match = _ADDRESS.fullmatch(address)
        if match is None:
            raise UserError(f"{address}: not a data set's address on the Hub; give hf://datasets/OWNER/NAME[@REVISION]")
        self._repository, self._revision = match[1], match[2]

    @property
    def address(self) -> str:
        """With the commit, so that another process reads the same files."""
        return f"{SCHEME}datasets/{self._repository}@{self._commit}"

    @property
    def scratch(self) -> Path:
        name = hashlib.sha256(f"{self._repository}@{self._revision}".encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir(), f"lrs2m-{os.getuid()}", f"{self._repository.replace('/', '-')}-{name}")

    def files(self, folder: str = "") -> Iterator[StoredFile]:
        """The files below a folder, by name."""
        address = self.address
        with hub_errors(address, _FEATURE, "train"):
            from huggingface_hub import HfApi
            from huggingface_hub.hf_api import RepoFile

            tree = HfApi().list_repo_tree(
                self._repository, folder or None, recursive=True, revision=self._commit, repo_type="dataset"
            )
            found = [StoredFile(each.path, each.size, each.blob_id) for each in tree if isinstance(each, RepoFile)]
        yield from sorted((each for each in found if not is_hidden(each.name)), key=lambda each: each.name)

    def open(self, found: StoredFile) -> BinaryIO:
        """A file that was found, to read parts of it; each part is one request, sent again if it may pass."""

        def fetch(start: int, end: int) -> bytes:
            with hub_errors(f"{self.address}/{found.name}", _FEATURE, "train"):
                from huggingface_hub import hf_hub_url
                from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_backoff

                url = hf_hub_url(self._repository, found.name, repo_type="dataset", revision=self._commit)
                part = {"range": f"bytes={start}-{end - 1}"}
                answer = http_backoff("GET", url, headers=build_hf_headers() | part, follow_redirects=True)
                hf_raise_for_status(answer)
                return bytes(answer.content)

        return cast(BinaryIO, RangeFile(found.size, fetch))

    @cached_property
    def _commit(self) -> str:
        if self._revision and _COMMIT.fullmatch(self._revision):
            return self._revision
        with hub_errors(f"{SCHEME}datasets/{self._repository}", _FEATURE, "train"):
            from huggingface_hub import HfApi

            return str(HfApi().dataset_info(self._repository, revision=self._revision).sha)
