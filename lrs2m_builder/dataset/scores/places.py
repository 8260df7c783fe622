"""Where the scores of a data set are.

OUT/scores/<name>/score.json                         what decided the scores, and which data set they are of
OUT/scores/<name>/<subset>/train-00000.parquet         a row per record, in the order of the shard
OUT/scores/<name>/claims/<subset>/train-00000.parquet  a row per claim, if the scores are made of claims
OUT/scores/<name>/journal/<subset>/train-00000.jsonl   the answers of a shard in progress
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lrs2m_builder.build.settings import BUILD_JSON
from lrs2m_builder.dataset.tables import record_files
from lrs2m_builder.errors import UserError

SCORES, SCORE_JSON, CLAIMS, JOURNAL = "scores", "score.json", "claims", "journal"
_NAME = re.compile(r"(?!split$)[a-z][a-z0-9_]{0,39}")  # scores/split/ holds the parts that lrs2m split made


@dataclass(frozen=True, slots=True)
class ScoredFile:
    """A file of records in its data set.

    Attributes:
        path: as it is opened.
        home: the folder of its data set, which holds `scores/`.
        name: its path in the data set, such as "rsicd/train-00000.parquet".
    """

    path: Path
    home: Path
    name: str

    def scores(self, name: str) -> Path:
        """Its table of scores."""
        return self.home / SCORES / name / self.name

    def claims(self, name: str) -> Path:
        """Its table of claims."""
        return self.home / SCORES / name / CLAIMS / self.name

    def journal(self, name: str) -> Path:
        """The answers of its table in progress."""
        return (self.home / SCORES / name / JOURNAL / self.name).with_suffix(".jsonl")


def scored_files(path: Path) -> list[ScoredFile]:
    """The files of records below a folder, or the one given, each with its data set: a folder may hold several builds.

    Raises:
        UserError: there are no Parquet files.
    """
    root = path if path.is_dir() else path.parent
    return [_scored_file(file, root) for file in record_files(path)]


def _scored_file(path: Path, root: Path) -> ScoredFile:
    full = path.absolute()
    data = next((each for each in full.parents if each.name == "data" and (each.parent / BUILD_JSON).is_file()), None)
    home = data.parent if data else root.absolute()
    inside = home / "data" if home / "data" in full.parents else home
    name = full.relative_to(inside) if inside in full.parents else Path(full.name)
    return ScoredFile(path, home, name.as_posix())


def the_home(found: Sequence[ScoredFile]) -> Path:
    """The one data set that all files are of.

    Raises:
        UserError: there are several, or a name that the scores need is taken.
    """
    homes = sorted({file.home for file in found})
    if len(homes) > 1:
        raise UserError(f"{homes[0]}, {homes[1]}: two data sets; give one build at a time")
    for file in found:
        if file.name.split("/")[0] in {CLAIMS, JOURNAL}:
            raise UserError(f"{file.path}: scores have a folder {file.name.split('/')[0]!r} too; rename this one")
    return homes[0]


def check_name(name: str) -> None:
    """Raises:
    UserError: the name cannot begin the name of a column.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            f"--name {name!r}: needs a small letter, then small letters, digits or _ (40 at most; not split)"
        )


def score_names(home: Path) -> list[str]:
    """Names of the scores of a data set."""
    folder = home / SCORES
    names = (each.parent.name for each in folder.glob(f"*/{SCORE_JSON}")) if folder.is_dir() else ()
    return sorted(name for name in names if _NAME.fullmatch(name))
