"""Uploads a folder to a data set or model repository of the Hub; files that exist there are not sent again.

The client uploads missing files in the background and commits them batch by batch; it retries
most of its requests itself. If it gives up, the whole upload is retried here; uploaded files are not sent again.
"""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lrs2m_builder.errors import MissingExtraError, UserError

RepoType = Literal["dataset", "model"]
STATE = ".lrs2m.json"  # the inputs of a tree; never uploaded
MAX_TRIES = 4
MAX_WAIT_S = 120.0
_REPO_ID = re.compile(r"\w[\w.-]{,95}/\w[\w.-]{,95}", re.ASCII)
_TYPES = ("model", "dataset", "space")


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The result of an upload.

    Attributes:
        changed: whether the upload changed the repository.
    """

    url: str
    commit: str
    changed: bool


def tree_sizes(tree: Path) -> dict[str, int]:
    """The sizes of the files that are or would be uploaded, by path in the tree."""
    files = ((str(file.relative_to(tree)), file) for file in sorted(tree.rglob("*")) if file.is_file())
    return {name: file.stat().st_size for name, file in files if name != STATE}


def check_repo_id(repo_id: str, flag: str = "--repo-id") -> None:
    """Raises:
    UserError: it is not a repository name.
    """
    if not _REPO_ID.fullmatch(repo_id):
        raise UserError(f"{flag} {repo_id}: write NAMESPACE/NAME, of letters, digits and . _ -")


def find_token() -> str:
    """The user's token, from the environment or `hf auth login`; it is only passed to the client.

    Raises:
        UserError: no token is set.
        MissingExtraError: huggingface_hub is not installed.
    """
    try:
        from huggingface_hub import get_token
    except ImportError as error:
        raise MissingExtraError("publishing", "hub", error) from error
    token: str | None = get_token()
    if not token:
        raise UserError("no token of the Hub: run `hf auth login` or set HF_TOKEN; --dry-run needs none")
    return token


def upload_tree(
    tree: Path,
    repo_id: str,
    *,
    repo_type: RepoType,
    private: bool,
    message: str,
    token: str,
    replaces: tuple[str, ...] = (),
) -> Uploaded:
    """Create the repository if needed and synchronise it with a folder.

    Args:
        replaces: patterns of files to remove from the repository if the folder does not have them.

    Raises:
        UserError: no permission, the name is taken by another type, or the Hub or the network keeps failing.
        MissingExtraError: tenacity is not installed.
    """
    try:
        import tenacity
        from huggingface_hub import HfApi
        from huggingface_hub.utils import disable_progress_bars
    except ImportError as error:
        raise MissingExtraError("publishing", "hub", error) from error
    if not sys.stderr.isatty():
        disable_progress_bars()
    api = HfApi(token=token)
    growing = tenacity.wait_exponential_jitter(initial=1, max=MAX_WAIT_S)
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_may_pass),
        stop=tenacity.stop_after_attempt(MAX_TRIES),
        wait=lambda state: max(growing(state), _asked_wait_s(state.outcome.exception() if state.outcome else None)),
        reraise=True,
    )
    try:
        return retrying(_upload, api, tree, repo_id, repo_type, private, message, replaces)
    except Exception as error:
        if not _is_of_the_hub(error):
            raise
        raise UserError(_explain(error, api, repo_id, repo_type).replace(token, "***")) from None


def _upload(
    api: Any,
    tree: Path,
    repo_id: str,
    repo_type: RepoType,
    private: bool,
    message: str,
    replaces: tuple[str, ...],
) -> Uploaded:
    repo = api.create_repo(repo_id, repo_type=repo_type, private=private or None, exist_ok=True)
    before = api.repo_info(repo.repo_id, repo_type=repo_type).sha
    commit = api.upload_folder(
        repo_id=repo.repo_id,
        repo_type=repo_type,
        folder_path=tree,
        commit_message=message,
        ignore_patterns=[STATE],
        delete_patterns=list(replaces) or None,
    )
    return Uploaded(str(repo), commit.oid, commit.oid != before)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and its causes."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _status(error: BaseException | None) -> int | None:
    """The HTTP status that caused an error."""
    for one in _chain(error):
        if (response := getattr(one, "response", None)) is not None:
            return int(response.status_code)
    return None


def _is_transport(error: BaseException | None) -> bool:
    """Whether the network failed, by class name: the HTTP library differs between releases of the client."""
    names = {kind.__name__ for one in _chain(error) for kind in type(one).__mro__}
    return bool(names & {"TransportError", "ConnectionError", "OfflineModeIsEnabled"})


def _is_of_the_hub(error: Exception) -> bool:
    """Whether an error is the Hub's or the network's rather than a bug; hf_xet raises RuntimeErrors."""
    modules = {type(one).__module__.split(".")[0] for one in _chain(error)}
    is_client_error = isinstance(error, RuntimeError) or bool(modules & {"huggingface_hub", "hf_xet"})
    return _status(error) is not None or _is_transport(error) or is_client_error or _is_misread(error)


def _is_misread(error: Exception) -> bool:
    """Whether the client could not read an answer of the Hub, or of a proxy."""
    places = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    in_client = any(place.split(".")[0] == "huggingface_hub" for place in places)
    return in_client and isinstance(error, LookupError | TypeError | ValueError | AttributeError)


def _may_pass(error: BaseException) -> bool:
    status = _status(error)
    if isinstance(error, RuntimeError) and status is None:
        return True
    if any(type(one).__name__ == "OfflineModeIsEnabled" for one in _chain(error)):
        return False
    return status == 429 or (status is not None and status >= 500) or (status is None and _is_transport(error))


def _asked_wait_s(error: BaseException | None) -> float:
    """The seconds of the Hub's Retry-After header; 0 without one."""
    for one in _chain(error):
        value = getattr(getattr(one, "response", None), "headers", {}).get("Retry-After", "")
        if str(value).isascii() and str(value).isdecimal():
            return min(float(value), MAX_WAIT_S)
    return 0.0


def _explain(error: Exception, api: Any, repo_id: str, repo_type: RepoType) -> str:
    """One line: what, where, what next."""
    status, again = _status(error), "the same command resumes where it stopped"
    if status == 401:
        return f"{api.endpoint}: the token is not accepted (401); run `hf auth login` or set a new HF_TOKEN"
    if status == 403:
        return f"{repo_id}: the token may not write there (403); it needs write access to {repo_id.split('/')[0]}"
    if status in {404, 409} and (other := _other_type(api, repo_id, repo_type)):
        return f"{repo_id}: already exists as a {other}, not a {repo_type}; choose another --repo-id"
    if status is not None and (status == 429 or status >= 500):
        return f"{api.endpoint}: answered {status} {MAX_TRIES} times; {again}"
    if status is None and _is_transport(error):
        return f"{api.endpoint}: cannot be reached ({_first_line(error)}); {again}"
    if status is None and _is_misread(error):
        what = f"{type(error).__name__}: {_first_line(error)}"
        return f"{api.endpoint}: gave an answer that the client cannot read ({what}); is it the Hub? {again}"
    return f"{repo_id}: {_first_line(error)}"


def _other_type(api: Any, repo_id: str, repo_type: RepoType) -> str | None:
    """The type under which the name is taken, if it is another one."""
    try:
        if api.repo_exists(repo_id, repo_type=repo_type):
            return None
        return next((kind for kind in _TYPES if kind != repo_type and api.repo_exists(repo_id, repo_type=kind)), None)
    except Exception as error:
        if not _is_of_the_hub(error):
            raise
        return None  # the first error is the one to report


def _first_line(error: Exception) -> str:
    """The first lines of an error as one line: the Hub's own reason is below the client's."""
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)[:500] or type(error).__name__
