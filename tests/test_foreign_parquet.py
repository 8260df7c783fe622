"""Parquet of any origin: whatever its columns, names and bytes, commands work or say in one line what is wrong."""

from __future__ import annotations

import datetime
import decimal
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lrs2m_builder.build.stored_rows import RECORD_SCHEMA
from lrs2m_builder.dataset.foreign import check_files
from lrs2m_builder.dataset.view.answers import DataSet
from lrs2m_builder.errors import UserError
from tests.export_data import png, row
from tests.in_process import Finished, lrs2m

ROWS = 3
TEXT, NUMBERS = pa.string(), pa.int32()
Value = pa.Array


def usual() -> dict[str, Value]:
    """The columns of a small data set as a build writes it, and one that is foreign to it."""
    rows = [
        row(number, recipe="r", license="CC0-1.0", attempts=1, warnings=["hedge: may"], label="farm")
        for number in range(ROWS)
    ]
    table = pa.Table.from_pylist(rows, schema=RECORD_SCHEMA)
    return {name: table.column(name).combine_chunks() for name in table.column_names}


def write(path: Path, **changes: Value | None) -> Path:
    """A data set in the folder `path` with some columns changed, added, or (None) left out."""
    columns = usual() | changes
    path.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({n: c for n, c in columns.items() if c is not None}), path / "a.parquet")
    return path


def broken_text() -> Value:
    """Text that says of itself that it is UTF-8, and is not."""
    raw = pa.array([b"\xff\xfe", b"a", b"\xc3"], pa.binary())
    return pa.Array.from_buffers(pa.string(), ROWS, raw.buffers())


def look_through(path: Path) -> Finished:
    """What `lrs2m view` does for its page, without the server."""
    try:
        data = DataSet(path)
        for kind in ("records", "rejected"):
            data.rows(data.select(kind, {"text": "short"})["selection"], 0, 100)
            data.rows(data.select(kind, {"order": "long"})["selection"], 0, 100)
        for number in range(data.num_rows("records")):
            data.image(number, small=True)
    except UserError as error:
        return Finished(2, "", f"error: {error}\n")
    return Finished(0, "", "")


COMMANDS: dict[str, Callable[[Path, Path], Finished]] = {
    "stats": lambda data, out: lrs2m("stats", data),
    "view": lambda data, out: look_through(data),
    "audit": lambda data, out: lrs2m("audit", data, "--out", out / "found"),
    "audit against": lambda data, out: lrs2m("audit", usual_set(out), "--against", data, "--out", out / "found"),
    "export json": lambda data, out: lrs2m("export", data, out / "json", "--to", "json"),
    "export csv": lambda data, out: lrs2m("export", data, out / "csv", "--to", "csv", "--images", "reference"),
    "export tars": lambda data, out: lrs2m("export", data, out / "tars", "--to", "webdataset"),
    "publish": lambda data, out: lrs2m("publish", data, "--repo-id", "me/it", "--dry-run", "--dest", out / "tree"),
    "publish images": lambda data, out: lrs2m(
        "publish", data, "--repo-id", "me/it", "--dry-run", "--dest", out / "tree2", "--with-images"
    ),
}


# Each reads in its own way; all of them for what touches the gate, these for what is beyond it.
FEW = ("stats", "view", "export json")
MORE = (*FEW, "audit")


def usual_set(folder: Path) -> Path:
    return write(folder / "usual")


def accepted_or_told(data: Path, out: Path, commands: Any = None) -> dict[str, Finished]:
    """Run every command; each ends well or with one line and code 2."""
    ends = {}
    for name in commands or COMMANDS:
        end = COMMANDS[name](data, out / name.replace(" ", "_"))
        assert end.code in {0, 2}, (name, end)
        if end.code == 2:
            assert end.error, (name, end)
        ends[name] = end
    return ends


OTHER_TYPES: dict[str, Value] = {
    "int64": pa.array([1, 2, 3]),
    "uint8": pa.array([1, 2, 3], pa.uint8()),
    "float": pa.array([1.5, float("nan"), None]),
    "bool": pa.array([True, False, None]),
    "bytes": pa.array([b"a", b"\xff", None], pa.binary()),
    "fixed bytes": pa.array([b"abc"] * 3, pa.binary(3)),
    "bytes view": pa.array([b"a"] * 3, pa.binary_view()),
    "null": pa.nulls(ROWS),
    "struct": pa.array([{"a": 1}] * 3),
    "dates": pa.array([datetime.date(2020, 1, 1)] * 3),
    "times": pa.array([0, 1, 2], pa.timestamp("ns", tz="UTC")),
    "far times": pa.array([2**40] * 3, pa.timestamp("s")),
    "decimals": pa.array([decimal.Decimal("1.5")] * 3),
    "durations": pa.array([1, 2, 3], pa.duration("s")),
    "list of text": pa.array([["a"], None, []], pa.list_(TEXT)),
    "list of numbers": pa.array([[1], None, []], pa.list_(NUMBERS)),
    "list of nulls": pa.array([[None], None, []], pa.list_(pa.null())),
    "map": pa.array([[("a", "b")]] * 3, pa.map_(TEXT, TEXT)),
    "broken text": broken_text(),
}
LIKE_TEXT = {
    "view": lambda texts: texts.cast(pa.string_view()),
    "dictionary": lambda texts: texts.dictionary_encode(),
    "large dictionary": lambda texts: texts.cast(pa.large_string()).dictionary_encode(),
}
LOOKED_AT = ("sample_id", "subset", "image", "caption_short", "caption_long", "num_tokens_long", "warnings", "anchors")
# Every type once, for a column each; every column of LOOKED_AT twice or more.
PAIRS = [(LOOKED_AT[number * 3 % len(LOOKED_AT)], kind) for number, kind in enumerate(OTHER_TYPES)]


@pytest.mark.parametrize(("column", "kind"), PAIRS)
def test_a_column_of_another_type_is_read_or_told_by_every_command(tmp_path: Path, column: str, kind: str) -> None:
    accepted_or_told(write(tmp_path / "in", **{column: OTHER_TYPES[kind]}), tmp_path)


@pytest.mark.parametrize("column", RECORD_SCHEMA.names)
def test_only_what_can_be_read_as_a_column_passes_the_gate(tmp_path: Path, column: str) -> None:
    passed = []
    for kind, values in OTHER_TYPES.items():
        data = write(tmp_path / kind, **{column: values})
        try:
            check_files([data / "a.parquet"], [column])
        except UserError as error:
            assert f"column {column!r} holds {str(values.type)[:4]}" in str(error)
        else:
            passed.append(kind)
    wanted = RECORD_SCHEMA.field(column).type
    of_text = ["list of text", "list of nulls"] if wanted == pa.list_(TEXT) else ["list of nulls"]
    numbers = ["int64", "uint8", "float"]
    kinds = {
        TEXT: ["broken text"],
        pa.float64(): numbers,
        pa.binary(): ["bytes", "bytes view"],
        RECORD_SCHEMA.field("datetime").type: ["dates", "times", "far times"],
    }
    expected = numbers if pa.types.is_integer(wanted) else kinds.get(wanted, of_text)
    assert passed == ([] if pa.types.is_struct(wanted) else expected)


@pytest.mark.parametrize("kind", ["bytes", "null", "list of text"])
@pytest.mark.parametrize("command", ["view", "audit", "publish"])
def test_the_line_names_the_column_what_it_holds_and_what_it_should(tmp_path: Path, kind: str, command: str) -> None:
    data = write(tmp_path / "in", caption_short=OTHER_TYPES[kind])
    line = COMMANDS[command](data, tmp_path).error
    assert f"column 'caption_short' holds {str(OTHER_TYPES[kind].type)[:4]}" in line and line.endswith("needs text")


@pytest.mark.parametrize("how", LIKE_TEXT)
@pytest.mark.parametrize("column", ["sample_id", "caption_long"])
def test_other_ways_to_hold_text_are_read_as_text(tmp_path: Path, column: str, how: str) -> None:
    data = write(tmp_path / "in", **{column: LIKE_TEXT[how](usual()[column])})
    assert {end.code for end in accepted_or_told(data, tmp_path, MORE).values()} == {0}


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("warnings", pa.large_list(TEXT)),
        ("num_tokens_long", pa.uint16()),
        ("num_tokens_long", pa.int64()),
        ("num_tokens_short", pa.float64()),
        ("attempts", pa.float64()),
        ("image", pa.struct([("path", pa.large_string()), ("bytes", pa.large_binary())])),
    ],
)
def test_wider_types_of_the_same_are_read(tmp_path: Path, column: str, kind: pa.DataType) -> None:
    values = pa.array(usual()[column].to_pylist(), kind)
    ends = accepted_or_told(write(tmp_path / "in", **{column: values}), tmp_path, MORE)
    assert {end.code for end in ends.values()} == {0}


@pytest.mark.parametrize("column", ["warnings", "license", "recipe", "image_sha256", "short_source", "attempts"])
def test_a_column_that_need_not_be_there_may_hold_nothing_at_all(tmp_path: Path, column: str) -> None:
    ends = accepted_or_told(write(tmp_path / "in", **{column: pa.nulls(ROWS)}), tmp_path, MORE)
    assert {end.code for end in ends.values()} == {0}


def test_columns_of_its_own_of_any_type_are_no_hindrance(tmp_path: Path) -> None:
    own = {f"own {name}": values for name, values in OTHER_TYPES.items() if name not in {"broken text", "far times"}}
    data = write(tmp_path / "in", **own, file=usual()["subset"], filename=usual()["subset"], row=usual()["seed"])
    assert {end.code for end in accepted_or_told(data, tmp_path, MORE).values()} == {0}


@pytest.mark.parametrize("name", ["sample_id", "caption_long", "subset"])
@pytest.mark.parametrize("value", [None, "x" * 300, "a\x00b\n", "'; DROP", "../../x"])
def test_odd_values_are_read_or_told(tmp_path: Path, name: str, value: str | None) -> None:
    values = pa.array([value, *usual()[name].to_pylist()[1:]], TEXT)
    accepted_or_told(write(tmp_path / "in", **{name: values}), tmp_path, MORE)


def test_a_hash_that_is_none_is_made_anew_from_the_image(tmp_path: Path) -> None:
    image = pa.array([{"bytes": png((1, 1, 1)), "path": None}] * 3, RECORD_SCHEMA.field("image").type)
    hashes = pa.array(["no hex", "00", None], TEXT)
    made = lrs2m("audit", write(tmp_path / "in", image=image, image_sha256=hashes))
    assert made.code == 0 and "2 " in made.out


@pytest.mark.parametrize(
    ("twin", "readers"),
    [("caption_long", ["stats", "view"]), ("Caption_Long", ["stats", "view"]), ("SAMPLE_ID", ["view"])],
)
def test_two_columns_of_one_name_are_told(tmp_path: Path, twin: str, readers: list[str]) -> None:
    columns = usual()
    (tmp_path / "in").mkdir()
    table = pa.Table.from_arrays([*columns.values(), columns["caption_long"]], [*columns, twin])
    pq.write_table(table, tmp_path / "in" / "a.parquet")
    assert all("2 times" in end.error for end in accepted_or_told(tmp_path / "in", tmp_path, readers).values())


BROKEN_FILES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda data: b"",
    "no Parquet": lambda data: b"hello" * 100,
    "cut": lambda data: data[:-100],
    "encrypted": lambda data: b"PARE" + data[4:-4] + b"PARE",
    "footer of another length": lambda data: data[:-8] + b"\xff\xff\xff\x7fPAR1",
    "footer of zeros": lambda data: data[:-4000] + bytes(3992) + data[-8:],
    "magic alone": lambda data: b"PAR1" + bytes(4) + b"PAR1",
}


@pytest.mark.parametrize("how", BROKEN_FILES)
def test_a_broken_file_is_told_by_every_command(tmp_path: Path, how: str) -> None:
    file = write(tmp_path / "in") / "a.parquet"
    file.write_bytes(BROKEN_FILES[how](file.read_bytes()))
    ends = accepted_or_told(tmp_path / "in", tmp_path, (*MORE, "audit against", "publish"))
    assert all("a.parquet" in end.error for end in ends.values())


def test_flipped_bytes_anywhere_end_in_no_traceback(tmp_path: Path) -> None:
    file, chance = write(tmp_path / "in") / "a.parquet", random.Random(0)
    whole = file.read_bytes()
    for number in range(8):
        damaged = bytearray(whole)
        for _ in range(4):
            damaged[chance.randrange(4, len(damaged) - 8)] ^= 1 << chance.randrange(8)
        file.write_bytes(bytes(damaged))
        accepted_or_told(tmp_path / "in", tmp_path / str(number), MORE)


@pytest.mark.parametrize("columns", [{}, {"a": pa.array([1])}], ids=["no columns", "other columns"])
def test_a_file_without_the_columns_is_told(tmp_path: Path, columns: dict[str, Value]) -> None:
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert all("no column" in end.error for end in accepted_or_told(tmp_path / "a.parquet", tmp_path).values())


def test_no_rows_are_told(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    pq.write_table(RECORD_SCHEMA.empty_table(), tmp_path / "in" / "a.parquet")
    ends = accepted_or_told(tmp_path / "in", tmp_path)
    assert {name: end.code for name, end in ends.items() if end.code != 2} == {"view": 0, "audit against": 0}


ODD_NAMES = [
    'it\'s "one".parquet',
    "{x}.parquet",
    "a[1]*?.parquet",
    "new\nline.parquet",
    "a=1.parquet",
    "%41 ü.parquet",
]


@pytest.mark.parametrize(("name", "is_folder"), [(name, bool(turn % 2)) for turn, name in enumerate(ODD_NAMES)])
def test_any_name_of_a_file_or_folder_is_read(tmp_path: Path, name: str, is_folder: bool) -> None:
    usual_file = write(tmp_path / "in") / "a.parquet"
    data = tmp_path / ("o" + name) if is_folder else tmp_path / "in" / name
    os.renames(usual_file, data / "b.parquet" if is_folder else data)
    assert {end.code for end in accepted_or_told(data, tmp_path, MORE).values()} == {0}


def test_a_name_with_wildcards_is_that_file_and_no_other(tmp_path: Path) -> None:
    for name in ("a*.parquet", "a1.parquet", "a[1].parquet"):
        os.renames(write(tmp_path / "in") / "a.parquet", tmp_path / "all" / name)
    assert f"{3 * ROWS} of {3 * ROWS} rows" in lrs2m("export", tmp_path / "all", tmp_path / "e", "--to", "json").out
    up = tmp_path / "all" / ".." / "all" / "a*.parquet"
    assert f"{ROWS} of {ROWS} rows" in lrs2m("export", up, tmp_path / "f", "--to", "json").out


def test_a_name_that_is_no_text_is_told(tmp_path: Path) -> None:
    file = write(tmp_path / "in") / "a.parquet"
    file.rename(file.parent / os.fsdecode(b"\xff.parquet"))
    assert all("no UTF-8" in end.error for end in accepted_or_told(tmp_path / "in", tmp_path, MORE).values())


def test_a_pipe_among_the_files_is_told_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(write(tmp_path / "in") / "b.parquet")
    ends: dict[str, Finished] = {}
    thread = threading.Thread(
        target=lambda: ends.update(accepted_or_told(tmp_path / "in", tmp_path, MORE)), daemon=True
    )
    thread.start()
    thread.join(60)
    assert ends and all("no regular file" in end.error for end in ends.values())


def test_folders_below_folders_are_read_and_hidden_ones_are_not(tmp_path: Path) -> None:
    write(tmp_path / "in" / "x.parquet" / "part=1")
    write(tmp_path / "in" / "y" / "z", sample_id=pa.array(["b/1", "b/2", "b/3"]))
    write(tmp_path / "in" / ".y.part", sample_id=pa.array(["c/1", "c/2", "c/3"]))
    assert "6 of 6 rows" in lrs2m("export", tmp_path / "in", tmp_path / "e", "--to", "json").out


def test_files_of_different_columns_are_read_together(tmp_path: Path) -> None:
    write(tmp_path / "in" / "a", license=None)
    write(tmp_path / "in" / "b", sample_id=pa.array(["b/1", "b/2", "b/3"]), warnings=pa.nulls(ROWS))
    write(tmp_path / "in" / "c", sample_id=pa.array(["c/1", "c/2", "c/3"]), attempts=pa.array([1.0, 2.0, None]))
    assert {end.code for end in accepted_or_told(tmp_path / "in", tmp_path, MORE).values()} == {0}


def test_rejections_of_another_type_are_told(tmp_path: Path) -> None:
    write(tmp_path / "in" / "data" / "a")
    (tmp_path / "in" / "rejected").mkdir()
    pq.write_table(pa.table({"sample_id": [1], "reason": ["x"]}), tmp_path / "in" / "rejected" / "a.parquet")
    ends = accepted_or_told(tmp_path / "in", tmp_path, ["stats", "view"])
    assert all("rejected/a.parquet" in end.error for end in ends.values())
