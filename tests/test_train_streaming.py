"""Training data on a store or the Hub are read as those of a folder, through a cache of bounded size."""

from __future__ import annotations

import json
import re
import secrets
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path

import pytest
import torch

from lrs2m_builder.clip.preprocess import Preprocess, make_transform
from lrs2m_builder.clip.tokens import Tokenize
from lrs2m_builder.errors import UserError
from lrs2m_builder.stores.objects import ObjectStore
from lrs2m_builder.train.config import changed
from lrs2m_builder.train.data import Batches
from lrs2m_builder.train.index import read_index
from lrs2m_builder.train.loading import ReadSettings
from lrs2m_builder.train.mixture import Order
from lrs2m_builder.train.named_configs import tiny
from lrs2m_builder.train.run import train
from lrs2m_builder.train.streaming import GroupCache, Streamed, find_data
from tests.clip_toy import make_data
from tests.object_server import Faults
from tests.test_train import losses

BOTH = ("caption_long", "caption_short")
COLUMNS = ("image", *BOTH)


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of 64 rows in 8 row groups; copies and caches are made below `tmp_path`."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    torch.set_num_threads(1)
    return make_data(tmp_path / "data")


@pytest.fixture
def stored(local: Path, faults: Faults) -> Streamed:
    """The same files on an object store."""
    name = f"pairs-{secrets.token_hex(4)}"
    store = ObjectStore(f"s3://{name}/pairs")
    store._call(lambda: store._s3.call_s3("create_bucket", Bucket=name), "")
    for path in sorted(local.rglob("*.parquet")):
        assert store.publish(path.relative_to(local).as_posix(), path)
    data = find_data(store.address)
    assert isinstance(data, Streamed)
    return data


def batches(data: Path | Streamed, cache: GroupCache | None = None, workers: int = 0) -> Batches:
    folder = data.folder if isinstance(data, Streamed) else data
    order = Order(seed=0, batch_size=4, pool_rows=8, weights={})
    reading = ReadSettings("both", Tokenize(248), make_transform(Preprocess(32)), 32, cache=cache)
    return Batches(read_index([folder], BOTH), order, reading, workers=workers)


def images(data: Batches, number: int) -> list[list[int]]:
    return [batch.image_ids_B.tolist() for batch in islice(data, number)]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_from_an_object_store_is_the_epoch_from_a_folder_in_a_cache_of_bounded_size(
    local: Path, stored: Streamed, tmp_path: Path, workers: int
) -> None:
    texts = list(stored.folder.rglob("*.parquet"))
    assert len(texts) == 2 and b"PNG" not in b"".join(path.read_bytes() for path in texts)
    cache = GroupCache([stored], COLUMNS, 20_000, readers=2, folder=tmp_path / "cache")
    assert images(batches(stored, cache, workers), 40) == images(batches(local), 40)  # 16 are an epoch
    sizes = [path.stat().st_size for path in (tmp_path / "cache").iterdir()]
    assert 2 <= len(sizes) < 8 and sum(sizes) <= 20_000


def test_a_position_in_a_folder_is_taken_up_from_an_object_store(local: Path, stored: Streamed, tmp_path: Path) -> None:
    whole = batches(local)
    reader = iter(whole)
    list(islice(reader, 5))
    resumed = batches(stored, GroupCache([stored], COLUMNS, 10**9, folder=tmp_path / "cache"))
    resumed.load_state_dict(whole.state_dict())
    assert images(resumed, 3) == [batch.image_ids_B.tolist() for batch in islice(reader, 3)]


def test_a_cache_as_large_as_the_data_fetches_each_row_group_once(
    local: Path, stored: Streamed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: Counter[str] = Counter()
    copy = GroupCache._copy

    def counted(self: GroupCache, *arguments: object) -> None:
        fetched[repr(arguments[2])] += 1
        copy(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(GroupCache, "_copy", counted)
    images(batches(stored, GroupCache([stored], COLUMNS, 10**9, folder=tmp_path / "cache")), 32)
    assert set(fetched.values()) == {1} and len(fetched) == 8


def test_a_training_on_streamed_data_has_the_losses_of_one_on_the_folder(
    local: Path, stored: Streamed, tmp_path: Path
) -> None:
    config = changed(tiny(), {"max_steps": 3})
    train(config, [local], out_dir=tmp_path / "folder")
    train(config, [stored], out_dir=tmp_path / "streamed")
    assert losses(tmp_path / "streamed") == losses(tmp_path / "folder")
    stated = json.loads((tmp_path / "streamed" / "config.json").read_text())["data"]
    assert stated == [stored.name]


def test_a_store_that_goes_away_during_the_run_is_one_line(
    local: Path, stored: Streamed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    cache = GroupCache([stored], COLUMNS, 10**9, folder=tmp_path / "cache")
    cache._stores[stored.address] = ObjectStore(stored.address, patience_s=0.5)
    with pytest.raises(UserError, match=r"s3://.*parquet: no usable answer .*run the same command again") as raised:
        images(batches(stored, cache), 1)
    assert "\n" not in str(raised.value)


@contextmanager
def hub(folder: Path) -> Iterator[str]:
    """A Hub with one data set, me/pairs, of the files of a folder: its three endpoints that reading needs."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.parquet")}
    commit = "1" * 40

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/api/datasets/me/pairs":
                return self.answer(json.dumps({"id": "me/pairs", "sha": commit, "siblings": []}).encode())
            if path.startswith(f"/api/datasets/me/pairs/tree/{commit}"):
                tree = [
                    {"type": "file", "path": name, "oid": name, "size": each.stat().st_size}
                    for name, each in files.items()
                ]
                return self.answer(json.dumps(tree).encode())
            name = path.removeprefix(f"/datasets/me/pairs/resolve/{commit}/")
            part = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            if name in files and part:
                return self.answer(files[name].read_bytes()[int(part[1]) : int(part[2]) + 1], 206)
            return self.answer(b"{}", 404)

        def answer(self, content: bytes, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def use_hub(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    from huggingface_hub import constants, file_download, hf_api

    for module in (constants, hf_api, file_download):
        if hasattr(module, "ENDPOINT"):
            monkeypatch.setattr(module, "ENDPOINT", address)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    )
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def test_an_epoch_from_the_hub_is_the_epoch_from_a_folder(
    local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub(local) as address:
        use_hub(monkeypatch, address)
        data = find_data("hf://datasets/me/pairs")
        assert isinstance(data, Streamed) and data.address.endswith("@" + "1" * 40)
        cache = GroupCache([data], COLUMNS, 10**9, folder=tmp_path / "cache")
        assert images(batches(data, cache), 16) == images(batches(local), 16)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hf://datasets/me/pairs", "the Hub did not give it"),
        ("hf://me/pairs", r"give hf://datasets/OWNER/NAME\[@REVISION\]"),
        ("gs://bucket/pairs", "give s3://BUCKET/PREFIX"),
    ],
)
def test_an_address_that_cannot_be_read_is_one_line(
    monkeypatch: pytest.MonkeyPatch, local: Path, name: str, message: str
) -> None:
    use_hub(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(UserError, match=message) as raised:
        find_data(name)
    assert "\n" not in str(raised.value)
