"""Which of the four tests a path is data for, told by its files: so that `lrs2m eval all` needs no more than paths."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from lrs2m_builder.dataset.tables import record_files
from lrs2m_builder.errors import UserError
from lrs2m_builder.evals.classification import class_sets, find_list
from lrs2m_builder.evals.data import LABEL_COLUMNS
from lrs2m_builder.evals.paper import load_paper
from lrs2m_builder.evals.selo.queries import read_queries, set_name
from lrs2m_builder.files import files_below, is_hidden
from lrs2m_builder.images.files import IMAGE_SUFFIXES
from lrs2m_builder.terminal import say
from lrs2m_builder.tokenizer import count_tokens

LONG_TOKENS = 70  # mean tokens; the paper's short texts have up to 66, its long ones 77 and more
SAMPLE = 200  # texts that are counted
WANTED = (
    "a Karpathy list, a build or other Parquet, AIR-SLT's anno.json, a folder of folders a class, or a folder of these"
)


@dataclass(frozen=True, slots=True)
class Test:
    """A test and its data.

    Attributes:
        name: the paper's name of the set where path and test are one of its sets', or the path's own.
        text_column: of Parquet.
        classes: list of classes of a set of the paper.
    """

    evaluation: str
    data: str
    name: str
    images: Path | None = None
    text_column: str | None = None
    classes: str | None = None


def find_tests(given: str) -> list[Test]:
    """The tests that a path has data for, or those of the folders in it.

    Raises:
        UserError: there are none, or no such path.
    """
    path = Path(given).expanduser()
    if given in class_sets() and not path.exists():
        return [Test("zic", given, class_sets()[given].title, classes=given)]
    if not path.exists():
        raise UserError(f"{given}: no such file or folder; give {WANTED}")
    found = _own(path)
    if path.is_dir():
        taken = {Path(test.data).parent for test in found} | {test.images for test in found}
        folders = [folder for folder in _folders(path) if folder not in taken] if not _has_tables(path) else []
        found += [test for folder in folders for test in (_own(folder) or _classes(folder))]
        found = found or _classes(path)
    if not found:
        raise UserError(f"{given}: nothing to evaluate on; give {WANTED}")
    return found


def _own(path: Path) -> list[Test]:
    """The tests of a list or table, of the lists that lie in a folder, or of the tables of a build."""
    if path.suffix == ".json":
        return _of_json(path, path.parent)
    if path.suffix == ".parquet":
        return _of_columns(path, path)
    if not path.is_dir():
        return []
    lists = [*sorted(path.glob("*.json")), *sorted(path.glob("annotations/*.json"))]
    if tests := [test for file in lists for test in _of_json(file, path)]:
        return tests
    return _of_columns(record_files(path)[0], path) if _has_tables(path) else []


def _has_tables(path: Path) -> bool:
    return any(path.glob("*.parquet")) or any(files_below(path / "data", ".parquet"))


def _folders(path: Path) -> list[Path]:
    """The folders of a folder but those that notebooks, file managers and disks leave."""
    return sorted(folder for folder in path.iterdir() if folder.is_dir() and not is_hidden(folder.name))


def _classes(path: Path) -> list[Test]:
    """Classification, if there are images in two folders or more."""
    holds = {folder: _has_images(folder) for folder in _folders(path)}
    folders = [folder for folder, has_images in holds.items() if has_images]
    if len(folders) < 2:
        return []
    if empty := [folder.name for folder, has_images in holds.items() if not has_images]:
        say(f"{path}: {len(empty)} folders hold no image and are no classes here, such as {empty[0]}")
    known = find_list(folder.name for folder in folders)
    return [Test("zic", str(path), class_sets()[known].title if known else path.name, classes=known)]


def _has_images(folder: Path) -> bool:
    return any(file.suffix.lower() in IMAGE_SUFFIXES and not is_hidden(file.name) for file in folder.iterdir())


def _of_json(file: Path, folder: Path) -> list[Test]:
    """Regions, or texts: long where they have so many tokens."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return []
    if isinstance(content, list) and content and isinstance(content[0], dict) and "points" in content[0]:
        places = [folder / name for name in ("imgs", "images") if (folder / name).is_dir()]
        images = next(iter(places), folder)
        return [Test("selo", str(file), set_name(read_queries(file, images), folder.name), images=images)]
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        return []
    texts = list(islice(_texts(content["images"]), SAMPLE))
    if not texts:
        return []
    mean = sum(map(count_tokens, texts)) / len(texts)
    evaluation = "zcrl" if mean >= LONG_TOKENS else "zcrs"
    return [Test(evaluation, str(file), _set_name(evaluation, file), images=folder)]


def _texts(images: list[Any]) -> Any:
    for image in images:
        sentences = image.get("sentences", ()) if isinstance(image, dict) else ()
        yield from (sentence["raw"] for sentence in sentences if isinstance(sentence, dict) and "raw" in sentence)


def _of_columns(table: Path, path: Path) -> list[Test]:
    columns = set(pq.read_schema(table).names)
    found: list[Test] = []
    if "caption_long" in columns:
        found.append(Test("zcrl", str(path), _set_name("zcrl", path), text_column="caption_long"))
    if short := next((name for name in ("caption_short", "captions") if name in columns), None):
        found.append(Test("zcrs", str(path), _set_name("zcrs", path), text_column=short))
    if not found and columns & set(LABEL_COLUMNS):
        found.append(Test("zic", str(path), path.stem))
    return found


def _set_name(evaluation: str, path: Path) -> str:
    """RSITMD-L, RSICD-L, RSITMD or RSICD where the path says so."""
    words = _key(f"{path.parent.name} {path.stem}")
    for table in load_paper().tables.values():
        if table.test == evaluation:
            for name in dict.fromkeys(row.labels["set"] for row in table.rows):
                if _key(name.removesuffix("-L")) in words:
                    return name
    return path.parent.name if path.stem == "dataset" else path.stem


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
