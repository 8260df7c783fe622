"""The origin of a subset and what may be redistributed, as recorded by its build from the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrs2m_builder.build.settings import BUILD_JSON
from lrs2m_builder.dataset.foreign import reading
from lrs2m_builder.dataset.publish.tree import holds_images
from lrs2m_builder.dataset.tables import open_tables, record_files
from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.declared.shipped import shipped_names
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import read_json

_ALLOWS = "its manifest says `redistribute: images`, and every row has the manifest's licence"


@dataclass(frozen=True, slots=True)
class Origin:
    """A source as described in its manifest."""

    title: str
    license: str
    redistribute: str
    homepage: str
    citation: str


def read_build(path: Path) -> dict[str, Any]:
    """The content of a folder's build.json; empty if the folder is not a build."""
    return read_json(path / BUILD_JSON) if (path / BUILD_JSON).is_file() else {}


def origin_of(subset: str, path: Path) -> Origin | None:
    """The origin of a subset from its build, else from the shipped manifest of its name; None without either.

    Raises:
        UserError: build.json cannot be read.
    """
    build = read_build(path)
    settings, noted = build.get("settings"), build.get("source")
    if isinstance(settings, Mapping) and settings.get("subset") == subset and noted is not None:
        try:
            return Origin(**{key: str(value) for key, value in noted.items()})
        except (AttributeError, TypeError) as error:
            raise UserError(f"{path / BUILD_JSON}: its source cannot be read; was it edited?") from error
    return Origin(**load_manifest(subset).origin) if subset in shipped_names("manifests") else None


def publishes_images(subset: str, path: Path, choice: bool | None) -> tuple[bool, str]:
    """Whether to publish the images of a subset, and why or why not.

    Args:
        choice: the user's; None follows the manifest: it must allow it, and every row must have its licence.

    Raises:
        UserError: the subset may not be redistributed, its rows contain no images, or they cannot be read.
    """
    origin = origin_of(subset, path)
    if origin and origin.redistribute == "nothing":
        raise UserError(f"{path}: the manifest of subset {subset!r} forbids redistribution; leave the subset out")
    if choice is False:
        return False, "left out by the publisher (`--captions-only`)"
    if choice is None and origin is None:
        return False, "no known manifest says that they may be redistributed"
    if choice is None and origin and origin.redistribute != "images":
        return False, "its manifest does not say `redistribute: images`"
    if not holds_images(record_files(path)):
        if choice:
            raise UserError(f"{path}: its rows contain only the names of images; publish it with --captions-only")
        return False, "its rows contain only the names of images"
    if choice:
        return True, "the publisher states the right to redistribute them (`--with-images`)"
    if origin and _has_other_license(subset, path, origin.license):
        return False, "not every row has the licence of its manifest"
    return True, _ALLOWS


def _has_other_license(subset: str, path: Path, license_: str) -> bool:
    tables = open_tables(path, uses=("subset", "license"))
    if "license" not in tables.sql("SELECT * FROM records LIMIT 0").columns:
        return True
    query = "SELECT count(*) FROM records WHERE subset = $subset AND license IS DISTINCT FROM $license"
    with reading(path):
        rows = tables.execute(query, {"subset": subset, "license": license_}).fetchall()
    return bool(rows[0][0])
