"""Names of images as other systems write them: URLs, paths of other machines, other Unicode forms, added prefixes."""

from __future__ import annotations

import re
import unicodedata
from posixpath import splitext
from urllib.parse import parse_qs, unquote

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/+")  # also the letter of a drive
# What annotation tools add to an uploaded file's name: Label Studio a prefix, Roboflow a suffix.
_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)|_(?:jpe?g|png|tiff?|bmp|webp)\.rf\.[0-9A-Za-z]{16,40}$", re.IGNORECASE)


def image_stem(name: str) -> str:
    """The last part of an image's name without its extension; `pathlib` takes ten times as long."""
    return splitext(name.rpartition("/")[2])[0]


def same_letters(name: str) -> str:
    """A key that is equal for names that differ only in letter case or in composed and decomposed letters.

    Bytes that are not UTF-8, as older systems wrote them to a disk, are read as Latin-1.
    """
    if any("\udc80" <= char <= "\udcff" for char in name):
        name = name.encode("utf-8", "surrogateescape").decode("latin-1")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def original_stem(name: str) -> str:
    """The stem of an image's name without an annotation tool's additions, in the form of `same_letters`."""
    stem = same_letters(image_stem(name))
    if match := _UPLOADED.match(stem):
        stem = stem[match.end() :]
    return _UPLOADED.sub("", stem) if ".rf." in stem else stem


def relative_paths(name: str) -> list[str]:
    """The paths below a data folder that a name may mean, the longest first; all stay inside the folder.

    A URL's host counts as a folder, and the path in its query parameter `d` (Label Studio's local files)
    as another spelling.
    """
    paths: dict[str, int] = {}
    for spelling in _spellings(name):
        parts = [part for part in spelling.split("/") if part not in {"", ".", ".."}]
        for start in range(len(parts)):
            paths.setdefault("/".join(parts[start:]), len(parts) - start)
    return sorted(paths, key=lambda path: -paths[path])


def _spellings(name: str) -> list[str]:
    path = name.strip().replace("\\", "/")
    scheme = _SCHEME.match(path)
    rest = path[scheme.end() :] if scheme else path
    before, mark, query = rest.partition("?")
    spellings = [rest]
    if mark:
        spellings += [*parse_qs(query).get("d", ()), before]
    if scheme:
        spellings.append(before.partition("#")[0])
    spellings += [unquote(spelling) for spelling in spellings if "%" in spelling]
    return list(dict.fromkeys(spelling.replace("\\", "/") for spelling in spellings))
