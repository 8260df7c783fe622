"""Any images with texts are evaluated with one command: features, variants of the texts, and a result on disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lrs2m_builder.clip.encode import encode_images, encode_texts
from lrs2m_builder.clip.model import encode_text, random_model
from lrs2m_builder.errors import UserError
from lrs2m_builder.evals.data import Columns, read_images
from lrs2m_builder.evals.record import Result
from lrs2m_builder.evals.registry import find_evaluation
from lrs2m_builder.evals.results import read_results, write_result
from lrs2m_builder.evals.variants import length_bins, permuted, without_first
from tests.clip_toy import write_table
from tests.eval_models import evaluated, lrs2m_eval, refused, tiny_model
from tests.toy import build_toy, make_source


def test_features_do_not_depend_on_the_batch_and_keep_their_order(real_data: Path) -> None:
    loaded = random_model(context_length=77)
    files = sorted((real_data / "ucmerced_jpg" / "beach").glob("*.jpg"))[:20]
    together = encode_images(loaded, files, show_progress=False)
    alone = np.concatenate([encode_images(loaded, [file], show_progress=False) for file in files])
    assert together.dtype == np.float32 and np.abs(together - alone).max() < 1e-5
    assert np.abs(np.linalg.norm(together, axis=1) - 1).max() < 1e-6
    texts = ["a b c " * (1 + number % 7) for number in range(30)]
    whole = encode_texts(loaded, texts, show_progress=False)
    padded = encode_text(loaded.model, loaded.tokenize(texts)).detach().numpy()
    assert np.abs(whole - padded).max() < 1e-5


def test_an_image_that_cannot_be_read_stops_the_evaluation(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"broken\.jpg: the evaluation needs every image"):
        encode_images(random_model(), [tmp_path / "broken.jpg"], show_progress=False)


def test_permuted_texts_keep_their_sentences_and_change_their_order() -> None:
    text = "One road. Two ships! Three trees? Four cars."
    for seed in range(5):
        changed = permuted(text, seed)
        assert changed != text and sorted(changed.split()) == sorted(text.split())
    assert permuted("Alone.", 0) == without_first("Alone.") == "Alone."
    assert without_first(text) == "Two ships! Three trees? Four cars."


def test_lengths_divide_all_texts_and_their_hits_average_to_the_recall() -> None:
    num_tokens, owners = np.array([5, 19, 20, 61, 61, 100]), np.array([0, 0, 1, 2, 3, 4])
    hits, image_hits = np.array([1, 0, 1, 1, 0, 0], bool), np.array([1, 1, 0, 0, 1], bool)
    bins = length_bins(num_tokens, owners, hits, image_hits)
    assert [(each.low, each.high, each.num_texts) for each in bins] == [
        (0, 19, 2),
        (20, 39, 1),
        (60, 79, 2),
        (100, 119, 1),
    ]
    assert sum(each.num_texts * each.t2i_r1 for each in bins) == pytest.approx(hits.sum())
    assert sum(each.num_images for each in bins) == 5


def karpathy(folder: Path, real_data: Path, num_images: int = 8) -> Path:
    """A list over real images; the last two are of another split."""
    files = sorted((real_data / "ucmerced_jpg" / "harbor").glob("*.jpg"))[:num_images]
    (folder / "pictures").mkdir(parents=True)
    for file in files:
        (folder / "pictures" / file.name).write_bytes(file.read_bytes())
    images = [
        {
            "filename": file.name,
            "split": "train" if number >= num_images - 2 else "test",
            "sentences": [{"raw": f"Boat {number} in a harbor. It is of kind {n}."} for n in range(5)],
        }
        for number, file in enumerate(files)
    ]
    path = folder / "dataset.json"
    path.write_text(json.dumps({"images": images}))
    return path


def test_a_karpathy_list_is_evaluated_on_its_test_split(tmp_path: Path, real_data: Path) -> None:
    path, model = karpathy(tmp_path, real_data), tiny_model(tmp_path)
    found = evaluated("zcrs", path, "--images", tmp_path / "pictures", "--model", model, "--name", "RSITMD")
    assert (found["dataset"], found["num_images"], found["num_texts"]) == ("RSITMD", 6, 30)
    assert tuple(found["metrics"]) == tuple(find_evaluation("zcrs").metrics)
    assert found["settings"]["command"][:3] == ["lrs2m", "eval", "zcrs"]
    assert found["settings"]["leakage"]["trained_on"] == []
    assert len(found["settings"]["data"]["sha256"]) == 64
    assert "no split 'val'; it has 'test', 'train'" in refused("zcrs", path, "--model", model, "--split", "val")
    (tmp_path / "pictures" / "harbor00.jpg").unlink()
    assert "1 of 6 images of the split 'test' are not below" in refused("zcrs", path, "--model", model)


def test_a_build_is_evaluated_with_one_command(tmp_path: Path) -> None:
    build_toy(make_source(tmp_path / "source", 12), tmp_path / "out")
    out = tmp_path / "results"
    words = ["zcrl", tmp_path / "out", "--model", tiny_model(tmp_path), "--by-length", "--robustness", "--out", out]
    found = lrs2m_eval(*words)
    assert found.returncode == 0, found.stderr
    assert "text to image" in found.stdout and "shuffled" in found.stdout and "tokens: T2I R@1" in found.stdout
    (result,) = read_results(out)
    assert result.num_images == result.num_texts > 5
    assert set(result.details) >= {"intervals", "lengths", "permuted", "without_first", "num_cut", "mean_tokens"}
    assert result.details["permuted"]["unchanged_texts"] == 0
    assert sum(each["num_texts"] for each in result.details["lengths"]) == result.num_texts


def test_a_folder_of_the_datasets_library_is_evaluated(tmp_path: Path, real_data: Path) -> None:
    import datasets

    files = sorted((real_data / "ucmerced_jpg" / "forest").glob("*.jpg"))[:4]
    images = [{"bytes": file.read_bytes(), "path": file.name} for file in files]
    rows = {"image": images, "captions": [[f"Tree {n}.", f"Wood {n}."] for n in range(4)]}
    data = datasets.Dataset.from_dict(rows).cast_column("image", datasets.Image())
    (tmp_path / "hub").mkdir()
    data.to_parquet(str(tmp_path / "hub" / "test-00000-of-00001.parquet"))
    data.save_to_disk(str(tmp_path / "saved"))
    columns = Columns(texts=("captions",))
    of_disk = read_images(str(tmp_path / "saved"), columns)
    assert [each.texts for each in of_disk] == [each.texts for each in read_images(str(tmp_path / "hub"), columns)]
    found = evaluated("zcrs", tmp_path / "hub", "--split", "test", "--model", tiny_model(tmp_path))
    assert (found["num_images"], found["num_texts"]) == (4, 8)
    line = refused("zcrl", tmp_path / "hub", "--text-column", "long", "--model", tiny_model(tmp_path))
    assert "no column 'long'; it has image, captions" in line


def test_rows_without_the_bytes_of_their_image_are_one_line(tmp_path: Path) -> None:
    rows = [{"image": {"bytes": None, "path": "a.png"}, "caption_long": "A field."}]
    write_table(tmp_path / "data" / "train-00000.parquet", rows)
    with pytest.raises(UserError, match=r"a\.png: not found in .*; the evaluation needs every image"):
        read_images(str(tmp_path), Columns(texts=("caption_long",)))


def test_a_result_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    result = Result("zic", "EuroSAT", "clip-b16", "abc", {"accuracy": 0.5}, 2, 10, {"seed": 0}, {"classes": []})
    write_result(result, tmp_path / "a" / "one.json")
    (tmp_path / "other.json").write_text('{"audit": 1}')
    assert read_results(tmp_path) == [result]
    assert result.versions["lrs2m-builder"]


def test_a_model_that_is_not_there_is_one_line_with_the_known_names(tmp_path: Path) -> None:
    build_toy(make_source(tmp_path / "source", 2), tmp_path / "out")
    assert "no model 'longclip'; did you mean 'longclip-l14'? give a folder, a Hub name, or one of clip-b32" in refused(
        "zcrl", tmp_path / "out", "--model", "longclip"
    )
    listed = lrs2m_eval("models")
    assert "BeichenZhang/LongCLIP-B" in listed.stdout and listed.returncode == 0
