"""Where a subset comes from and what may be passed on of it: what its build noted of its manifest."""

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
    """A source, in the words of its manifest."""

    title: str
    license: str
    redistribute: str
    homepage: str
    citation: str


def read_build(path: Path) -> dict[str, Any]:
    """What a folder's build.json holds; nothing where the folder is no build."""
    return read_json(path / BUILD_JSON) if (path / BUILD_JSON).is_file() else {}


def origin_of(subset: str, path: Path) -> Origin | None:
    """The origin of a subset, as its build noted it, else of the shipped manifest of its name; None without either.

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


def publishes_images(subset: str, path: Path, wanted: bool | None) -> tuple[bool, str]:
    """Whether the images of a subset are passed on, and why or why not.

    Args:
        wanted: the user says so; None goes by the manifest: it must allow it, and every row have its licence.

    Raises:
        UserError: nothing of the subset may be passed on, its rows hold no images, or they cannot be read.
    """
    origin = origin_of(subset, path)
    if origin and origin.redistribute == "nothing":
        raise UserError(f"{path}: subset {subset!r} must not be passed on, by its manifest")
    if wanted is False:
        return False, "left out by the publisher (`--captions-only`)"
    if wanted is None and origin is None:
        return False, "no manifest is known that says they may be passed on"
    if wanted is None and origin and origin.redistribute != "images":
        return False, "its manifest does not say `redistribute: images`"
    if not holds_images(record_files(path)):
        if wanted:
            raise UserError(f"{path}: its rows hold no images but their names; publish it with --captions-only")
        return False, "its rows hold the names of the images alone"
    if wanted:
        return True, "the publisher says to hold the right to pass them on (`--with-images`)"
    if origin and _has_other_license(subset, path, origin.license):
        return False, "not every row has the licence of its manifest"
    return True, _ALLOWS


def _has_other_license(subset: str, path: Path, license_: str) -> bool:
    tables = open_tables(path, uses=("subset", "license"))
    if "license" not in tables.sql("SELECT * FROM records LIMIT 0").columns:
        return True
    query = "SELECT count(*) FROM records WHERE subset = $subset AND license IS DISTINCT FROM $license"
    with reading(path):
        found = tables.execute(query, {"subset": subset, "license": license_}).fetchall()
    return bool(found[0][0])
