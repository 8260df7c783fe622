"""The rows of two data sets with the same image, in pairs: joined by sample_id, the rest by the image's SHA-256."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lrs2m_builder.dataset.foreign import reading
from lrs2m_builder.dataset.tables import record_files, rejected_files
from lrs2m_builder.dataset.view.index import Index, open_indexes
from lrs2m_builder.errors import UserError

Key = tuple[str, str, str]  # sample_id of the row of a, and the hashes of the texts of a and b

# The k-th row of an id (or of an image) in one data set goes with the k-th in the other.
_JOIN = """
    WITH numbered AS (SELECT *, row_number() OVER (PARTITION BY is_b, {key} ORDER BY number) AS nth FROM ({rows}))
    SELECT a.number AS a, b.number AS b, a.sample_id, b.sample_id AS id_b, a.texts AS text_a, b.texts AS text_b
    FROM numbered AS a JOIN numbered AS b USING ({key}, nth) WHERE NOT a.is_b AND b.is_b"""
_SAME_IMAGE = "(a.image = '' OR b.image = '' OR a.image = b.image)"
_UNPAIRED = "FROM compared WHERE number NOT IN (SELECT a FROM pairs UNION ALL SELECT b FROM pairs)"


@dataclass(frozen=True, slots=True)
class Pair:
    """A row of each data set with the same image.

    Attributes:
        a, b: numbers of the rows in the index of both.
        sample_id, id_b: of the rows.
        text_a, text_b: the beginning of the SHA-256 of both texts of the row.
        left, right: which data set's text is on which side, "a" or "b".
    """

    a: int
    b: int
    sample_id: str
    id_b: str
    text_a: str
    text_b: str
    left: str
    right: str

    @property
    def key(self) -> Key:
        """What votes know it by."""
        return self.sample_id, self.text_a, self.text_b


@dataclass(frozen=True, slots=True)
class Pairs:
    """The rows of two data sets by their image.

    Attributes:
        paths: of the data sets, a and b.
        indexes: of the rows of both, those of a first (see `open_indexes`).
        first_b: number of the first row of b, and of its first rejection.
        num_pairs: how many there are; the connection has them in the table `pairs`.
        num_same: pairs whose texts are the same.
        only: rows without a partner in the other data set, of a and of b.
        other_image: rows of a whose id b has with another image.
        several: pairs with a row of several long texts, of which the first is compared.
    """

    paths: tuple[Path, Path]
    indexes: dict[str, Index]
    first_b: dict[str, int]
    num_pairs: int
    num_same: int
    only: tuple[int, int]
    other_image: int
    several: int

    def draw(self, count: int, seed: int) -> list[Pair]:
        """Pairs with different texts, at most `count`, in an order and with sides that only seed and ids decide."""
        query = """SELECT a, b, sample_id, id_b, text_a, text_b, md5(concat(?::VARCHAR, chr(10), sample_id)) AS drawn
            FROM pairs WHERE text_a <> text_b ORDER BY drawn, a LIMIT ?"""
        found = self.indexes["records"].connection.cursor().execute(query, [seed, count]).fetchall()
        return [Pair(*row, *("ab" if int(drawn[-1], 16) % 2 else "ba")) for *row, drawn in found]

    def numbers(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the rows of all pairs, of a and of b."""
        found = self.indexes["records"].connection.cursor().execute("SELECT a, b FROM pairs").fetchnumpy()
        return np.asarray(found["a"]), np.asarray(found["b"])


def open_pairs(a: Path, b: Path) -> Pairs:
    """Read two data sets and join their rows by image.

    Raises:
        UserError: no Parquet files, a broken one, a missing column, the same data set twice, or no common image.
    """
    indexes = open_indexes([a, b])
    index, rejected = indexes["records"], indexes["rejected"]
    first_b = {"records": index.first[len(record_files(a))], "rejected": rejected.first[len(rejected_files(a))]}
    with reading(a):
        tables = index.connection.cursor()
        tables.execute(_rows_sql(tables.sql("SELECT * FROM records LIMIT 0").columns, first_b["records"]))
        rows, others = "SELECT * FROM compared", f"SELECT * {_UNPAIRED} AND image <> ''"
        tables.execute(f"CREATE TABLE pairs AS {_JOIN.format(key='sample_id', rows=rows)} AND {_SAME_IMAGE}")
        tables.execute(f"INSERT INTO pairs {_JOIN.format(key='image', rows=others)}").fetchall()
        (counts,) = tables.sql(
            f"""SELECT count(*), count(*) FILTER (text_a = text_b), (SELECT count(*) {_UNPAIRED} AND NOT is_b),
                (SELECT count(*) {_UNPAIRED} AND is_b),
                (SELECT count(*) {_UNPAIRED} AND NOT is_b AND sample_id IN (SELECT sample_id {_UNPAIRED} AND is_b)),
                count(*) FILTER (one.is_several OR other.is_several)
            FROM pairs JOIN compared AS one ON one.number = a JOIN compared AS other ON other.number = b"""
        ).fetchall()
    num_pairs, num_same, only_a, only_b, other_image, several = counts
    if not num_pairs:
        other = f"; {other_image:,} have the same sample_id and another image" if other_image else ""
        raise UserError(
            f"{a}, {b}: no image in common, by sample_id or image_sha256 ({only_a:,} and {only_b:,} rows{other}); "
            "give two builds of the same images"
        )
    return Pairs((a, b), indexes, first_b, num_pairs, num_same, (only_a, only_b), other_image, several)


def _rows_sql(names: Collection[str], first_b: int) -> str:
    """SQL that makes the table `compared`: by number of the row what rows are joined by, and a hash of their texts."""
    image = "coalesce(image_sha256, '')" if "image_sha256" in names else "''"
    several = "coalesce(len(captions_long) > 1, false)" if "captions_long" in names else "false"
    texts = "concat(caption_short, chr(10), caption_long)"
    return f"""CREATE TABLE compared AS SELECT (first + row)::INTEGER AS number, first + row >= {first_b} AS is_b,
        sample_id, {image} AS image, left(sha256({texts}), 16) AS texts, {several} AS is_several
        FROM records JOIN records_files AS place ON place.file = records.file::records_file"""
