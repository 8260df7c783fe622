"""Results are what is there: no score without numbers, all tests of a folder, and pages that open on what they hold."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lrs2m_builder.build.stored_rows import RECORD_SCHEMA, REJECTION_SCHEMA
from lrs2m_builder.clip.encode import finite
from lrs2m_builder.dataset.publish.upload import check_repo_id
from lrs2m_builder.errors import UserError
from lrs2m_builder.evals.ranks import image_to_text, text_to_image


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["texts", "images"])
def test_features_that_are_no_numbers_have_no_rank(bad: float, where: str) -> None:
    features = {"texts": np.eye(4, dtype=np.float32), "images": np.eye(4, dtype=np.float32)}
    features[where][2, 1] = bad
    for rank in (text_to_image, image_to_text):
        with pytest.raises(UserError, match="gives no numbers for 1 of 4"):
            rank(*sorted(features.values(), key=lambda each: each is features["images"]), np.arange(4))


def test_finite_features_and_none_at_all_pass() -> None:
    assert len(finite(np.zeros((0, 8), np.float32), "image")) == 0
    assert finite(np.ones((2, 3), np.float32), "text").sum() == 6


@pytest.mark.parametrize("schema", [RECORD_SCHEMA, REJECTION_SCHEMA])
def test_features_are_written_in_the_spelling_of_every_release_of_datasets(schema: object) -> None:
    assert isinstance(schema, type(RECORD_SCHEMA))
    text = schema.metadata[b"huggingface"].decode()
    features = json.loads(text)["info"]["features"]
    assert '"List"' not in text
    assert all(len(each) == 1 for each in features.values() if isinstance(each, list))
    assert features.get("warnings", {}).get("_type", "Sequence") == "Sequence"


def test_the_features_are_read_by_the_release_of_datasets_that_is_here() -> None:
    datasets = pytest.importorskip("datasets")
    features = json.loads(RECORD_SCHEMA.metadata[b"huggingface"])["info"]["features"]
    read = datasets.Features.from_dict(features)
    assert read.arrow_schema.field("warnings").type == RECORD_SCHEMA.field("warnings").type
    assert read.arrow_schema.field("anchors").type == RECORD_SCHEMA.field("anchors").type


@pytest.mark.parametrize("name", ["bad", "a/b/c", "a/", "/b", "", "a b/c", "ü/x", "-a/b"])
def test_what_is_no_name_of_a_repository_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="write NAMESPACE/NAME"):
        check_repo_id(name)


def test_hidden_folders_are_no_classes_and_empty_ones_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lrs2m_builder.evals.classes import class_sets
    from lrs2m_builder.evals.registry import find_tests

    hidden = (".ipynb_checkpoints", "__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "#snapshot")
    for name in (*class_sets()["ucmerced"].classes, *hidden):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes(b"")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "._0.png").write_bytes(b"")
    (test,) = find_tests(str(tmp_path))
    assert (test.evaluation, test.name, test.options["classes"]) == ("zic", "UC Merced", "ucmerced")
    assert "1 folders hold no image" in capsys.readouterr().err


def test_a_folder_with_a_list_and_class_folders_is_data_for_both(tmp_path: Path) -> None:
    from lrs2m_builder.evals.registry import find_tests

    sentences = [{"raw": "A farm."}]
    (tmp_path / "dataset.json").write_text(json.dumps({"images": [{"filename": "a.png", "sentences": sentences}]}))
    for name in ("farm", "beach"):
        (tmp_path / "Images" / name).mkdir(parents=True)
        (tmp_path / "Images" / name / "0.png").write_bytes(b"")
    assert [test.evaluation for test in find_tests(str(tmp_path))] == ["zcrs", "zic"]
