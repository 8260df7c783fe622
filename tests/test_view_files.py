"""What `lrs2m view` reads of the files: any rows and pictures, in bounded memory, and never what they were."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lrs2m_builder.build.stored_rows import RECORD_SCHEMA
from lrs2m_builder.dataset.view import rows as view_rows
from lrs2m_builder.dataset.view.answers import DataSet
from lrs2m_builder.dataset.view.index import open_indexes
from lrs2m_builder.dataset.view.rows import picture
from lrs2m_builder.errors import UserError
from tests.view_data import make_data
from tests.view_server import rows, serving


def test_only_a_picture_is_shown_as_one() -> None:
    assert picture(b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>", small=False) is None
    assert picture(b"\x89PNG\r\n\x1a\nbroken", small=True) is None
    buffer = io.BytesIO()
    Image.new("RGB", (800, 400), (9, 99, 9)).save(buffer, "PNG")
    shown = picture(buffer.getvalue(), small=True)
    assert shown is not None
    with Image.open(io.BytesIO(shown[1])) as small:
        assert (shown[0], small.format, small.size) == ("image/jpeg", "JPEG", (192, 96))


def test_rows_of_other_origin_in_large_row_groups_are_found(tmp_path: Path) -> None:
    """Three columns of ours, one unknown, no image, and a row group that is larger than what is read at once."""
    table = pa.table(
        {
            "sample_id": [f"own/{i}" for i in range(950)],
            "caption_short": [f"field {i}" for i in range(950)],
            "caption_long": ["long"] * 950,
            "score": np.r_[np.nan, np.arange(949.0)],
        }
    )
    pq.write_table(table.slice(0, 700), tmp_path / "a.parquet", row_group_size=650)
    pq.write_table(table.slice(700), tmp_path / "b.parquet")
    data = DataSet(tmp_path)
    found = data.select("records", {"text": '"field 649"'})
    page = data.rows(found["selection"], 0, 24)
    assert page is not None and [row["sample_id"] for row in page["rows"]] == ["own/649"]
    selection = data.select("records", {})["selection"]
    for number in (0, 99, 100, 649, 650, 699, 700, 949):
        page = data.rows(selection, number, 1)
        assert page is not None and page["rows"][0]["sample_id"] == f"own/{number}"
        assert data.image(number, small=True) is None
    json.dumps(data.rows(selection, 0, 1), allow_nan=False)


def test_a_page_costs_the_same_however_many_were_looked_at_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To keep the cache small, no batch in it is weighed again: with 1,300 of them that took seconds a page."""
    build = make_data(tmp_path / "build", 60, 0)
    files = next((build / "data").rglob("*.parquet"))
    pq.write_table(pq.read_table(files), files, row_group_size=2)
    weighed = 0

    class Weighed:
        def __init__(self, batch: pa.RecordBatch) -> None:
            self.batch, self.schema, self.column = batch, batch.schema, batch.column

        @property
        def nbytes(self) -> int:
            nonlocal weighed
            weighed += 1
            return int(self.batch.nbytes)

    real = view_rows._read_batch
    monkeypatch.setattr(view_rows, "_read_batch", lambda *given: Weighed(real(*given)))
    data = DataSet(build)
    selection = data.select("records", {})["selection"]
    for start in range(0, 60, 2):
        data.rows(selection, start, 2)
    assert 30 <= weighed <= 2 * 30


def test_the_cache_of_rows_stays_as_small_as_it_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = make_data(tmp_path / "build", 60, 0)
    file = next((build / "data").rglob("*.parquet"))
    pq.write_table(pq.read_table(file), file, row_group_size=2)
    monkeypatch.setattr(view_rows, "CACHE_BYTES", 5000)
    reader = view_rows.RowReader(open_indexes([build])["records"])
    for number in [*range(60), *range(30)]:
        reader.row(number)
    held = sum(batch.nbytes for batch, _ in reader._cache.values())
    assert held == reader._cached_bytes <= 5000 and len(reader._cache) > 1


def test_a_file_that_changed_is_not_shown_as_what_it_was(tmp_path: Path) -> None:
    build = make_data(tmp_path / "build", 12, 0)
    data = DataSet(build)
    selection = data.select("records", {})["selection"]
    path = next((build / "data").rglob("*.parquet"))
    os.utime(path, (1, 1))
    with pytest.raises(UserError, match="changed since it was opened"):
        data.rows(selection, 0, 1)


def test_an_empty_data_set_opens(tmp_path: Path) -> None:
    pq.write_table(RECORD_SCHEMA.empty_table(), tmp_path / "none.parquet")
    with serving(tmp_path) as server:
        assert rows(server) == [] and rows(server, text="x") == [] and rows(server, kind="rejected") == []
