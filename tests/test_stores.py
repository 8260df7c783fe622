"""The contract of a store, held by a local folder and an object store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lrs2m_builder.build.plan_file import Origin, find_plan, write_plan
from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.errors import UserError
from lrs2m_builder.sources import open_source
from lrs2m_builder.stores import open_store
from lrs2m_builder.stores._base import Store, StoreUnavailable
from lrs2m_builder.stores.folder import FolderStore
from lrs2m_builder.stores.objects import ObjectStore
from tests.object_server import Faults
from tests.toy import make_source

PART = 5 * 2**20  # the smallest that S3 takes


@pytest.fixture
def objects(faults: Faults, request: pytest.FixtureRequest) -> ObjectStore:
    """A store below a prefix of its own."""
    store = ObjectStore(f"s3://bucket/{request.node.name}", patience_s=20, part_size=PART)
    store._call(lambda: store._s3.call_s3("create_bucket", Bucket="bucket"), "")
    return store


@pytest.fixture(params=["folder", "objects"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return FolderStore(tmp_path / "store")
    found: ObjectStore = request.getfixturevalue("objects")
    return found


def written(folder: Path, text: str) -> Path:
    path = folder / f"{hash(text):x}"
    path.write_text(text)
    return path


def test_a_published_file_is_found_read_and_listed(store: Store, tmp_path: Path) -> None:
    assert store.publish("data/x/train-00000.parquet", written(tmp_path, "rows"))
    assert store.publish("data/xy.json", written(tmp_path, "{}"))
    assert store.read("data/x/train-00000.parquet") == b"rows"
    found = list(store.files())
    assert [each.name for each in found] == ["data/x/train-00000.parquet", "data/xy.json"]
    assert [each.size for each in found] == [4, 2]
    assert list(store.files("data/x")) == found[:1] == [store.find("data/x/train-00000.parquet")]


def test_a_missing_file_is_none(store: Store) -> None:
    assert store.find("none") is None and store.read("none") is None and not list(store.files("none"))
    store.delete("none")


def test_a_published_name_keeps_its_first_content(store: Store, tmp_path: Path) -> None:
    assert store.publish("a", written(tmp_path, "first"))
    assert store.publish("a", written(tmp_path, "first"))  # the same content is fine
    assert not store.publish("a", written(tmp_path, "other"))
    assert store.read("a") == b"first"


def test_only_the_version_that_was_read_is_replaced(store: Store, tmp_path: Path) -> None:
    store.publish("a", written(tmp_path, "first"))
    read = store.find("a")
    assert read and store.replace("a", written(tmp_path, "second"), read.version)
    assert not store.replace("a", written(tmp_path, "third"), read.version)
    assert store.replace("a", written(tmp_path, "second"), read.version)  # what it wants is there
    assert not store.replace("none", written(tmp_path, "third"), read.version)
    assert store.read("a") == b"second" and store.find("none") is None


def test_one_of_many_writers_wins(store: Store, tmp_path: Path) -> None:
    files = [written(tmp_path, f"writer {number} " * 1000) for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        won = list(pool.map(lambda file: store.publish("a", file), files))
    assert sum(won) == 1 and store.read("a") == files[won.index(True)].read_bytes()
    version = store.find("a")
    assert version
    newer = [written(tmp_path, f"second {number} " * 1000) for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        won = list(pool.map(lambda file: store.replace("a", file, version.version), newer))
    assert sum(won) == 1 and store.read("a") == newer[won.index(True)].read_bytes()


def test_a_good_store_passes_the_probe_and_keeps_nothing_of_it(store: Store) -> None:
    store.check()
    assert not list(store.files())


@pytest.mark.parametrize("methods", [("PUT", "POST"), ("POST",)], ids=["all", "parts"])
def test_a_store_that_ignores_conditions_is_refused(
    methods: tuple[str, ...], objects: ObjectStore, faults: Faults
) -> None:
    faults.unconditional = methods
    with pytest.raises(UserError, match="ignores conditions"):
        objects.check()


@pytest.mark.parametrize(
    "fault", [(503, "SlowDown"), (409, "ConditionalRequestConflict"), (500, "InternalError"), "lost"]
)
def test_a_fault_that_passes_changes_nothing(
    fault: object, objects: ObjectStore, faults: Faults, tmp_path: Path
) -> None:
    faults.pending = [("PUT", fault), ("PUT", fault)]
    assert objects.publish("a", written(tmp_path, "first"))
    read = objects.find("a")
    faults.pending = [("PUT", fault), ("GET", fault), ("HEAD", fault)]
    assert read and objects.replace("a", written(tmp_path, "second"), read.version)
    assert objects.read("a") == b"second"


def test_a_lost_answer_is_not_taken_for_success_of_the_loser(
    objects: ObjectStore, faults: Faults, tmp_path: Path
) -> None:
    objects.publish("a", written(tmp_path, "first"))
    faults.pending = [("PUT", "lost")]
    assert not objects.publish("a", written(tmp_path, "other"))


def test_a_large_file_goes_up_in_parts_under_the_same_condition(
    objects: ObjectStore, faults: Faults, tmp_path: Path
) -> None:
    large, other = written(tmp_path, "x" * (2 * PART + 1)), written(tmp_path, "y" * (2 * PART + 1))
    faults.pending = [("PUT", (503, "SlowDown"))]
    assert objects.publish("a", large)
    assert sum(each.startswith("POST") for each in faults.requests) >= 2
    assert not objects.publish("a", other)
    read = objects.find("a")
    assert read and read.size == 2 * PART + 1
    assert not objects.replace("a", other, "0" * 32)


def test_a_lost_answer_to_the_end_of_an_upload_in_parts_is_no_loss(
    objects: ObjectStore, faults: Faults, tmp_path: Path
) -> None:
    def lose_the_end() -> None:
        faults.pending = [("POST", "lost")]

    original = objects._s3._upload_file_part_concurrent

    async def upload(*arguments: object, **options: object) -> object:
        result = await original(*arguments, **options)
        lose_the_end()
        objects._s3._upload_file_part_concurrent = original
        return result

    objects._s3._upload_file_part_concurrent = upload
    assert objects.publish("a", written(tmp_path, "x" * (2 * PART + 1)))
    assert [each.name for each in objects.files()] == ["a"]


def test_a_lost_answer_does_not_stop_the_probe_of_uploads_in_parts(objects: ObjectStore, faults: Faults) -> None:
    for method in ("PUT", "POST", "DELETE"):
        faults.pending = [(method, "lost")]
        objects._check_parts()


def test_an_object_of_another_program_is_compared_by_its_content(objects: ObjectStore, tmp_path: Path) -> None:
    key = objects._key("a")
    objects._s3.call_s3("put_object", Bucket="bucket", Key=key, Body=b"rows")
    assert objects.publish("a", written(tmp_path, "rows")) and not objects.publish("a", written(tmp_path, "other"))


def test_a_store_that_stays_silent_is_given_up_after_the_wait(
    objects: ObjectStore, faults: Faults, tmp_path: Path
) -> None:
    objects._patience_s = 1
    faults.pending = [("PUT", (503, "SlowDown"))] * 100
    with pytest.raises(StoreUnavailable, match="SlowDown"):
        objects.publish("a", written(tmp_path, "rows"))
    faults.reset()
    assert objects.find("a") is None


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("InvalidAccessKeyId", "credentials are refused"),
        ("SignatureDoesNotMatch", "credentials are refused"),
        ("AccessDenied", "may not do this"),
        ("PermanentRedirect", "another region"),
        ("SomethingNew", "the store refuses"),
    ],
)
def test_a_refusal_is_one_line_without_credentials(
    code: str, words: str, objects: ObjectStore, faults: Faults, tmp_path: Path
) -> None:
    faults.pending = [("PUT", (403, code))] * 2  # botocore follows a redirection by itself once
    with pytest.raises(UserError, match=words) as caught:
        objects.publish("a", written(tmp_path, "rows"))
    assert "AKIA" not in str(caught.value) and "verysecret" not in str(caught.value) and "\n" not in str(caught.value)


def test_an_address_opens_the_store_that_it_names(faults: Faults) -> None:
    assert isinstance(open_store("out"), FolderStore)
    store = open_store("s3://bucket/a/run/")
    assert isinstance(store, ObjectStore) and store.address == "s3://bucket/a/run"
    for address in ("gs://bucket/run", "s3://", "s3:///run"):
        with pytest.raises(UserError, match="give s3://BUCKET/PREFIX"):
            open_store(address)


def test_a_missing_bucket_is_named(faults: Faults) -> None:
    with pytest.raises(UserError, match="s3://nowhere: no such bucket"):
        ObjectStore("s3://nowhere/run", patience_s=5).check()


def test_missing_credentials_are_named(faults: Faults, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UserError, match="no usable credentials"):
        ObjectStore("s3://bucket/run", patience_s=5).check()


def test_a_server_that_is_not_there_is_one_line(faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreUnavailable, match="EndpointConnectionError"):
        ObjectStore("s3://bucket/run", patience_s=1).check()


def test_the_plan_of_a_build_is_kept_and_found_and_a_plan_of_other_samples_takes_its_place(
    store: Store, tmp_path: Path
) -> None:
    for captions in (1, 2):
        manifest = load_manifest(str(make_source(tmp_path / "src", 5, captions=captions)))
        origin = Origin(manifest, tmp_path / "src", None, 2)
        assert find_plan(store, origin) is None
        made = write_plan(origin, open_source(manifest, origin.data_dir), tmp_path, with_hash=True)
        kept, found = made.keep(store), find_plan(store, origin)
        assert found is not None and found.file.samples == kept.file.samples == made.file.samples
        assert len([*found.file.pick(range(5 * captions))]) == 5 * captions
    assert [file.name for file in store.files()] == ["plan/toy.json", "plan/toy.parquet"]
