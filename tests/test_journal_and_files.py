"""What is written is there in full or not at all, and what goes wrong is one line with the path."""

from __future__ import annotations

import errno
import json
import resource
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from lrs2m_builder.build.journal import Journal, replayed
from lrs2m_builder.errors import UserError
from lrs2m_builder.exchange import MAX_TEXT_BYTES, Attempt, Completion, Request
from lrs2m_builder.files import disk_errors, finished_file, read_json, write_json
from lrs2m_builder.stores.folder import FolderStore


def attempt(number: int, text: str = "A harbor.\nTwo “ships” 🚢") -> Attempt:
    return Attempt(f"toy/{number}.tif#0", 0, 1, 42 + number, text, "stop", 10, 20)


def opened(folder: Path) -> Journal:
    """The journals of a shard in a folder, for one more writer."""
    return Journal(FolderStore(folder), "0")


def write_journal(folder: Path, *numbers: int) -> Path:
    """Answers by one writer; returns its file."""
    before = set((folder / "0").glob("*"))
    with opened(folder) as journal:
        for number in numbers:
            journal.append(attempt(number))
    (path,) = set((folder / "0").glob("*")) - before
    return path


def read_journal(folder: Path) -> list[Attempt]:
    return [entry for entries in opened(folder).attempts.values() for entry in entries]


def test_answers_of_all_writers_are_read_together_in_the_order_of_their_beginnings(tmp_path: Path) -> None:
    paths = [write_journal(tmp_path, 1, 2), write_journal(tmp_path, 3)]
    assert read_journal(tmp_path) == [attempt(1), attempt(2), attempt(3)]
    assert [path.name[:5] for path in paths] == ["0001-", "0002-"]


def test_a_writer_that_has_no_answer_leaves_no_file(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_the_journal_of_an_earlier_version_is_read_first(tmp_path: Path) -> None:
    write_journal(tmp_path, 1).rename(tmp_path / "0.jsonl")
    write_journal(tmp_path, 2)
    assert read_journal(tmp_path) == [attempt(1), attempt(2)]
    opened(tmp_path).remove()
    assert not list(tmp_path.iterdir())


def test_an_answer_is_in_the_file_before_the_journal_is_closed(tmp_path: Path) -> None:
    with opened(tmp_path) as journal:
        journal.append(attempt(1))
        (path,) = (tmp_path / "0").iterdir()
        kept = json.loads(path.read_bytes().partition(b" ")[2])
        assert {**kept, "claims": None} == asdict(attempt(1))


def test_the_answers_of_one_sample_keep_their_order(tmp_path: Path) -> None:
    entries = [attempt(1, text) for text in "abc"]
    with opened(tmp_path) as journal:
        for entry in entries:
            journal.append(entry)
    assert opened(tmp_path).attempts == {"toy/1.tif#0": entries}


def test_a_line_torn_anywhere_is_ignored_and_what_others_append_is_intact(tmp_path: Path) -> None:
    path = write_journal(tmp_path, 1, 2)
    whole = path.read_bytes()
    write_journal(tmp_path, 3)
    for cut in range(whole.index(b"\n") + 1, len(whole)):
        path.write_bytes(whole[:cut])
        assert read_journal(tmp_path) == [attempt(1), attempt(3)], cut


def test_a_single_torn_line_leaves_an_empty_journal(tmp_path: Path) -> None:
    write_journal(tmp_path, 1).write_bytes(b'{"sample_id": "toy/1')
    assert read_journal(tmp_path) == []


@pytest.mark.parametrize("line", [b"{broken", b"[1, 2]", b'{"sample_id": "a"}', b"\xff\xfe", b"", b'{"other": 1}'])
@pytest.mark.parametrize("sealed", [False, True])
def test_a_damaged_middle_line_is_dropped_and_counted(tmp_path: Path, line: bytes, sealed: bool) -> None:
    path = write_journal(tmp_path, 1, 2)
    first, second = path.read_bytes().splitlines()
    middle = b"%08x %s" % (zlib.crc32(line), line) if sealed else line
    path.write_bytes(b"\n".join([first, middle, second]) + b"\n")
    assert opened(tmp_path).num_damaged == 1
    assert read_journal(tmp_path) == [attempt(1), attempt(2)]


@pytest.mark.parametrize(
    "change", [{"step": True}, {"num_tokens": 2**31}, {"text": None}, {"seed": "7"}, {"step": 1.5}]
)
def test_an_answer_of_other_types_than_its_columns_is_dropped(tmp_path: Path, change: dict[str, Any]) -> None:
    text = json.dumps(asdict(attempt(1)) | change).encode()
    write_journal(tmp_path, 1).write_bytes(b"%08x %s\n" % (zlib.crc32(text), text))
    journal = opened(tmp_path)
    assert (journal.num_damaged, journal.attempts) == (1, {})


def test_every_flipped_bit_of_a_journal_is_noticed(tmp_path: Path) -> None:
    path = write_journal(tmp_path, 1, 2, 3)
    whole, expected = path.read_bytes(), read_journal(tmp_path)
    for position in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[position] ^= 1 << bit
            path.write_bytes(flipped)
            kept = read_journal(tmp_path)
            assert all(entry in expected for entry in kept) and len(kept) < 3, (position, bit)


def test_an_answer_longer_than_its_bound_is_cut_and_says_so() -> None:
    request = Request("toy/1.tif#0", 0, 1, "llm", ("Describe.",), 7, {})
    kept = Attempt.answered(request, Completion("ü" * 10**6, "stop", num_prompt_tokens=-3, num_tokens=2**40))
    assert (len(kept.text.encode()), kept.finish_reason) == (MAX_TEXT_BYTES, "length")
    assert (kept.num_prompt_tokens, kept.num_tokens) == (0, 2**31 - 1)


def numbered(step: int, number: int, text: str = "x") -> Attempt:
    return Attempt("toy/1", step, number, 7, text, "stop")


def test_after_a_lost_answer_nothing_that_followed_it_counts() -> None:
    log = [numbered(0, 1), numbered(0, 3), numbered(1, 1)]
    assert replayed((), log) == [numbered(0, 1), numbered(1, 1)]
    assert replayed((), log[1:]) == []


def test_an_answer_that_was_asked_again_takes_back_what_was_asked_for_its_sake() -> None:
    log = [numbered(0, 1), numbered(1, 1, "of the old"), numbered(0, 1, "new")]
    assert replayed((), log) == [numbered(0, 1, "new")]
    assert replayed((), [*log, numbered(1, 1, "of the new")]) == [numbered(0, 1, "new"), numbered(1, 1, "of the new")]


def test_answers_of_earlier_rounds_come_first_and_count_once() -> None:
    prior = [numbered(0, 1), numbered(0, 2)]
    assert replayed(prior, [numbered(0, 2), numbered(0, 3)]) == [*prior, numbered(0, 3)]
    assert replayed(prior, [numbered(0, 4)]) == prior


def test_removing_deletes_the_files_of_all_writers(tmp_path: Path) -> None:
    write_journal(tmp_path, 1)
    with opened(tmp_path) as journal:
        journal.append(attempt(2))
        journal.remove()
    assert not list(tmp_path.iterdir())


def test_a_journal_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "0.jsonl").mkdir()
    with pytest.raises(UserError, match=r"0\.jsonl: Is a directory"):
        opened(tmp_path)


def test_an_append_that_failed_halfway_does_not_spoil_the_next_one(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(tmp_path) as journal:
        journal.append(attempt(1))
        (path,) = (tmp_path / "0").iterdir()
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 30, hard))
        try:
            with pytest.raises(UserError):
                journal.append(attempt(2))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        journal.append(attempt(3))
    assert read_journal(tmp_path) == [attempt(1), attempt(3)]


def test_an_answer_with_half_a_surrogate_pair_is_kept(tmp_path: Path) -> None:
    request = Request("toy/1.tif#0", 0, 1, "llm", ("Describe.",), 7, {})
    with opened(tmp_path) as journal:
        journal.append(Attempt.answered(request, Completion("a ship \ud83d", "stop")))
    assert read_journal(tmp_path)[0].text == "a ship ?"


def test_a_finished_file_has_its_name_at_the_end_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "shard.parquet"
    with finished_file(path) as part:
        part.write_text("new")
        assert not path.exists() and part.parent == path.parent
    assert [(each.name, each.read_text()) for each in path.parent.iterdir()] == [("shard.parquet", "new")]


@pytest.mark.parametrize("error", [ValueError("bug"), KeyboardInterrupt(), OSError(errno.EIO, "Input/output error")])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "shard.parquet"
    path.write_text("old")
    with pytest.raises((ValueError, KeyboardInterrupt, UserError)), finished_file(path) as part:
        part.write_text("half of the new")
        raise error
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("shard.parquet", "old")]


def test_a_bug_while_writing_keeps_its_own_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), finished_file(tmp_path / "shard.parquet"):
        _ = 1 / 0


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "no space left on the disk"), (errno.EACCES, "Permission denied"), (errno.EIO, "Input/output")],
)
def test_a_failure_of_the_disk_says_what_where_and_what_next(number: int, said: str) -> None:
    with pytest.raises(UserError) as caught, disk_errors(Path("/data/out.parquet")):
        raise OSError(number, {errno.ENOSPC: "No space left on device"}.get(number, said), "/data/out.parquet")
    message = str(caught.value)
    assert message.startswith("/data/out.parquet: ") and said in message and "run the same command again" in message


def test_json_is_read_as_it_was_written(tmp_path: Path) -> None:
    content = {"name": "Zürich 🚢", "seeds": [1, 2], "nested": {"none": None}}
    write_json(tmp_path / "build.json", content)
    assert read_json(tmp_path / "build.json") == content


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "build.json", {"seed": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "build.json", {"seed": object()})
    assert read_json(tmp_path / "build.json") == {"seed": 1}


@pytest.mark.parametrize("content", [None, b"", b"{", b'"\xff"', b"[]", b"3", b"null"])
def test_json_that_is_missing_broken_or_no_object_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "build.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_json(path)
    said = "not a JSON object" if content in (b"[]", b"3", b"null") else "cannot be read"
    assert str(caught.value).startswith(f"{path}: {said}") and "\n" not in str(caught.value)
