"""Every odd, broken or many-banded real file, put in a source, ends as a record or as a rejection with a reason."""

from __future__ import annotations

import json
from pathlib import Path

from lrs2m_builder.exchange import Completion
from tests.fake_engine import FakeModule, good_text
from tests.toy import build_toy, make_source, rows

FOLDERS = ("pillow_odd", "spacenet_solaris", "hydro_s2", "hyspecnet_enmap", "eurosat", "ssl4eo_s12", "bigearthnet_v2")


def test_every_odd_file_is_a_record_or_a_rejection_with_a_reason(real_data: Path, tmp_path: Path) -> None:
    source = make_source(tmp_path, 1)
    files = [path for folder in FOLDERS for path in sorted((real_data / folder).rglob("*")) if path.is_file()]
    images = [
        {"filename": f"{number}{path.suffix}", "sentences": [{"raw": f"scene {number} ."}]}
        for number, path in enumerate(files)
    ]
    for image, path in zip(images, files, strict=True):
        (tmp_path / "imgs" / str(image["filename"])).symlink_to(path.resolve())
    (tmp_path / "dataset.json").write_text(json.dumps({"images": images}))
    module = FakeModule(lambda request: Completion(good_text(request.seed), "stop"))
    report = build_toy(source, tmp_path / "out", module, shard_size=50)
    assert report.samples == len(files) == report.records + sum(report.rejections.values())
    assert report.records > 150
    assert all(reason.startswith("image_") for reason in report.rejections)
    assert all(row["image"]["bytes"] and row["width"] for row in rows(tmp_path / "out"))
