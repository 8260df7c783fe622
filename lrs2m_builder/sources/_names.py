"""Names of images as other systems write them: URLs, paths of other machines, other Unicode forms, added prefixes."""

from __future__ import annotations

import re
import unicodedata
from posixpath import splitext
from urllib.parse import parse_qs, unquote

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/+")  # also the letter of a drive
# What annotation tools add to the name of an uploaded file: Label Studio before it, Roboflow behind it.
_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)|_(?:jpe?g|png|tiff?|bmp|webp)\.rf\.[0-9A-Za-z]{16,40}$", re.IGNORECASE)


def image_stem(name: str) -> str:
    """The last part of an image's name without its extension; `pathlib` takes ten times as long for it."""
    return splitext(name.rpartition("/")[2])[0]


def same_letters(name: str) -> str:
    """What a name has in common with those that differ in letter case or in composed and decomposed letters.

    Bytes that are no UTF-8, as older systems wrote them to a disk, are read as Latin-1.
    """
    if any("\udc80" <= char <= "\udcff" for char in name):
        name = name.encode("utf-8", "surrogateescape").decode("latin-1")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def original_stem(name: str) -> str:
    """The stem of an image's name before an annotation tool added to it, in the form of `same_letters`."""
    stem = same_letters(image_stem(name))
    if found := _UPLOADED.match(stem):
        stem = stem[found.end() :]
    return _UPLOADED.sub("", stem) if ".rf." in stem else stem


def relative_paths(name: str) -> list[str]:
    """The paths below a data folder that a name may mean, the longest first; none leads out of the folder.

    Of a URL its host is taken for a folder, and the path that a query gives as `d` (Label Studio's local files) counts
    as one more spelling.
    """
    paths: dict[str, int] = {}
    for spelling in _spellings(name):
        parts = [part for part in spelling.split("/") if part not in {"", ".", ".."}]
        for start in range(len(parts)):
            paths.setdefault("/".join(parts[start:]), len(parts) - start)
    return sorted(paths, key=lambda path: -paths[path])


def _spellings(name: str) -> list[str]:
    path = name.strip().replace("\\", "/")
    found = _SCHEME.match(path)
    rest = path[found.end() :] if found else path
    before, mark, query = rest.partition("?")
    spellings = [rest]
    if mark:
        spellings += [*parse_qs(query).get("d", ()), before]
    if found:
        spellings.append(before.partition("#")[0])
    spellings += [unquote(each) for each in spellings if "%" in each]
    return list(dict.fromkeys(spelling.replace("\\", "/") for spelling in spellings))
