"""Recalls are those of a plain sort and of clip-benchmark, ties included, and need no memory for the whole matrix."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clip_benchmark.metrics import zeroshot_retrieval as clip_benchmark
from PIL import Image

from lrs2m_builder.clip.model import encode_image, encode_text, random_model
from lrs2m_builder.errors import UserError
from lrs2m_builder.evals import ranks as ranks_module
from lrs2m_builder.evals.data import Columns, EvalImage, fingerprint, read_images
from lrs2m_builder.evals.encode import encode_images, encode_texts
from lrs2m_builder.evals.ranks import image_to_text, text_to_image
from lrs2m_builder.evals.results import METRICS, Result, read_results, write_result
from lrs2m_builder.evals.retrieval import KS, evaluate, score
from lrs2m_builder.evals.variants import length_bins, permuted, without_first
from tests.clip_toy import write_table
from tests.eval_models import evaluated, lrs2m_eval, refused, tiny_model
from tests.toy import build_toy, make_source

# Scores of six texts (rows) against five images; the first two texts belong to image 0.
SCORES = np.array(
    [[9, 1, 2, 3, 4], [3, 5, 4, 1, 0], [7, 7, 1, 0, 0], [1, 2, 0, 5, 6], [0, 0, 0, 8, 0], [2, 4, 6, 8, 1]], np.float32
)
OWNERS = np.array([0, 0, 1, 2, 3, 4])
IMAGES = np.eye(5, dtype=np.float32)


def features(seed: int, number: int, *, ties: bool) -> np.ndarray:
    """Rows of unit length, or of small whole numbers whose products are exact and often equal."""
    random = np.random.default_rng(seed)
    if ties:
        return random.integers(-1, 2, (number, 4)).astype(np.float32)
    rows = random.standard_normal((number, 16)).astype(np.float32)
    found: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return found


def sorted_ranks(matrix: np.ndarray, right: Sequence[Sequence[int]], *, ties: str) -> np.ndarray:
    """Rank of the best right candidate in a plain sort; equal scores by their index, or the right one last or first."""
    found = []
    for scores, own in zip(matrix, right, strict=True):
        better = {"index": list(range(len(scores))), "won": [c not in own for c in range(len(scores))]}
        better["lost"] = [c in own for c in range(len(scores))]
        order = sorted(range(len(scores)), key=lambda c: (-scores[c], better[ties][c]))
        found.append(1 + min(order.index(c) for c in own))
    return np.array(found)


def recall(ranks: np.ndarray, k: int) -> float:
    return float((ranks <= k).mean())


def clip_benchmark_recall(matrix: np.ndarray, owners: np.ndarray, k: int, *, transposed: bool) -> float:
    scores = torch.from_numpy(matrix)
    positive = torch.zeros_like(scores, dtype=torch.bool)
    positive[torch.arange(len(scores)), torch.from_numpy(owners)] = True
    if transposed:
        scores, positive = scores.T, positive.T
    return (clip_benchmark.recall_at_k(scores, positive, k) > 0).float().mean().item()


def test_ranks_of_five_images_and_six_texts_are_those_worked_out_by_hand() -> None:
    t2i, i2t = text_to_image(SCORES, IMAGES, OWNERS), image_to_text(IMAGES, SCORES, OWNERS)
    # Text 2 scores 7 with its image 1 and with image 0, which comes first.
    assert t2i.first.tolist() == [1, 3, 2, 5, 1, 5]
    assert t2i.optimistic.tolist() == [1, 3, 1, 5, 1, 5]
    # Image 3 scores 8 with its text 4 and with text 5, which comes after; image 2 scores 0 with its text 3 and text 4.
    assert i2t.first.tolist() == [1, 1, 5, 1, 3]
    assert i2t.optimistic.tolist() == [1, 1, 5, 1, 3]
    found = score(IMAGES, SCORES, OWNERS)
    assert found.metrics == pytest.approx(
        {
            **{"t2i_r1": 2 / 6, "t2i_r5": 1, "t2i_r10": 1, "i2t_r1": 3 / 5, "i2t_r5": 1, "i2t_r10": 1},
            "mr": (2 / 6 + 3 / 5 + 4) / 6,
        }
    )
    assert found.optimistic["t2i_r1"] == 3 / 6
    assert tuple(found.metrics) == METRICS["zcrl"]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_ranks_are_those_of_a_plain_sort(seed: int, ties: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    images, texts = features(seed, 40, ties=ties), features(seed + 100, 130, ties=ties)
    owners = np.concatenate([np.arange(40), np.random.default_rng(seed).integers(0, 40, 90)])
    monkeypatch.setattr(ranks_module, "MAX_BLOCK", 4 * 130 * 7)  # blocks of a few rows, the last one smaller
    t2i, i2t = text_to_image(texts, images, owners), image_to_text(images, texts, owners)
    scores = texts @ images.T
    own_texts = [np.flatnonzero(owners == number).tolist() for number in range(40)]
    for found, how in (("first", "index"), ("optimistic", "won")):
        assert (getattr(t2i, found) == sorted_ranks(scores, owners[:, None].tolist(), ties=how)).all()
        assert (getattr(i2t, found) == sorted_ranks(scores.T, own_texts, ties=how)).all()
    assert (t2i.first == t2i.optimistic).all() or ties


@pytest.mark.parametrize("seed", range(4))
def test_recalls_are_clip_benchmarks(seed: int) -> None:
    images, texts = features(seed, 60, ties=False), features(seed + 100, 300, ties=False)
    owners = np.repeat(np.arange(60), 5)
    found = score(images, texts, owners).metrics
    for k in KS:
        assert found[f"t2i_r{k}"] == pytest.approx(
            clip_benchmark_recall(texts @ images.T, owners, k, transposed=False), abs=1e-7
        )
        assert found[f"i2t_r{k}"] == pytest.approx(
            clip_benchmark_recall(texts @ images.T, owners, k, transposed=True), abs=1e-7
        )


@pytest.mark.parametrize("seed", range(4))
def test_where_scores_are_equal_clip_benchmark_lies_between_all_ties_lost_and_all_won(seed: int) -> None:
    """Its torch.topk takes equal scores in any order; ours has one order, within the same bounds."""
    images, texts = features(seed, 60, ties=True), features(seed + 100, 300, ties=True)
    owners = np.repeat(np.arange(60), 5)
    found, scores = score(images, texts, owners), texts @ images.T
    own_texts = [np.flatnonzero(owners == number).tolist() for number in range(60)]
    sides = (("t2i", scores, owners[:, None].tolist(), False), ("i2t", scores.T, own_texts, True))
    for way, matrix, right, transposed in sides:
        for k in KS:
            lost = recall(sorted_ranks(matrix, right, ties="lost"), k)
            won = recall(sorted_ranks(matrix, right, ties="won"), k)
            assert found.optimistic[f"{way}_r{k}"] == won
            theirs = clip_benchmark_recall(scores, owners, k, transposed=transposed)
            assert lost - 1e-7 <= theirs <= won + 1e-7
            assert lost <= found.metrics[f"{way}_r{k}"] <= won


class PlainModel:
    """A model as clip-benchmark calls it."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        return encode_image(self.model, pixels)

    def encode_text(self, ids: torch.Tensor) -> torch.Tensor:
        return encode_text(self.model, ids)


def test_real_images_and_captions_give_clip_benchmarks_recalls(real_data: Path) -> None:
    """UCM-Captions; captions that stand with several images are taken once, so that no score is equal to another."""
    loaded = random_model(context_length=77)
    everything = read_images("ucmerced", Columns(), image_dir=real_data, split="test")
    seen: set[str] = set()
    images = []
    for each in everything:
        own = tuple(text for text in dict.fromkeys(each.texts) if text not in seen)
        seen |= set(own)
        if own:
            images.append(EvalImage(each.name, each.image, own))
    assert len(images) > 50
    found, _ = evaluate(loaded, images, show_progress=False)

    def batches() -> Iterator[tuple[torch.Tensor, list[list[str]]]]:
        for start in range(0, len(images), 32):
            some = images[start : start + 32]
            pixels = [loaded.transform(Image.open(str(each.image))) for each in some]
            yield torch.stack(pixels), [list(each.texts) for each in some]

    theirs = clip_benchmark.evaluate(
        PlainModel(loaded.model), batches(), loaded.tokenize, "cpu", amp=False, recall_k_list=list(KS)
    )
    for k in KS:
        assert found.metrics[f"t2i_r{k}"] == pytest.approx(theirs[f"image_retrieval_recall@{k}"], abs=1e-6)
        assert found.metrics[f"i2t_r{k}"] == pytest.approx(theirs[f"text_retrieval_recall@{k}"], abs=1e-6)


def test_real_captions_that_stand_with_several_images_are_ties(real_data: Path) -> None:
    """The captions of RSITMD repeat: a repeated one must tie with itself to the last bit, as a plain sort sees it."""
    lines = (real_data / "rsitmd" / "rsitmd_precomp" / "train_caps.txt").read_text(encoding="utf-8").splitlines()
    texts, owners = lines[:1500], np.repeat(np.arange(300), 5)
    assert len(set(texts)) < len(texts)
    loaded = random_model(context_length=77)
    distinct = list(dict.fromkeys(texts))
    of = dict(zip(distinct, encode_texts(loaded, distinct, show_progress=False), strict=True))
    text_features = np.stack([of[text] for text in texts])
    images = features(0, 300, ties=False) @ features(1, 16, ties=False).repeat(2, axis=1)
    found = image_to_text(images.astype(np.float32), text_features, owners)
    unique_scores = images.astype(np.float32) @ np.stack(list(of.values())).T
    scores = unique_scores[:, [distinct.index(text) for text in texts]]
    own = [list(range(5 * number, 5 * number + 5)) for number in range(300)]
    assert (found.first == sorted_ranks(scores, own, ties="index")).all()
    assert (found.optimistic == sorted_ranks(scores, own, ties="won")).all()
    assert (found.first != found.optimistic).any()


MEMORY = """
import resource, numpy as np
from lrs2m_builder.evals.ranks import image_to_text, text_to_image
random = np.random.default_rng(0)
images, texts = (random.standard_normal((n, 8)).astype(np.float32) for n in (8_000, 40_000))
owners = np.repeat(np.arange(8_000), 5)
text_to_image(texts[:200], images, owners[:200])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
text_to_image(texts, images, owners)
image_to_text(images, texts, owners)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_memory_is_that_of_a_block_of_scores_not_of_all() -> None:
    """All scores of 8,000 images and 40,000 texts would be 1,220 MB; a block is 128 MB, with its comparisons twice."""
    child = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    assert float(child.stdout) < 450


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


def test_intervals_hold_the_recall_and_are_the_same_for_the_same_seed() -> None:
    images, texts = features(0, 60, ties=False), features(1, 300, ties=False)
    owners = np.repeat(np.arange(60), 5)
    found = score(images, texts, owners, seed=3)
    assert found.intervals == score(images, texts, owners, seed=3).intervals
    for name, (low, high) in found.intervals.items():
        assert low <= found.metrics[name] <= high and low < high


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
    assert tuple(found["metrics"]) == METRICS["zcrs"]
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
    assert "text to image" in found.stdout and "permuted" in found.stdout and "tokens: T2I R@1" in found.stdout
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
    images = read_images(str(tmp_path), Columns(texts=("caption_long",)))
    with pytest.raises(UserError, match="needs every image, and this one fails"):
        fingerprint(images)


def test_a_result_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    result = Result("zic", "EuroSAT", "clip-b16", "abc", {"accuracy": 0.5}, 2, 10, {"seed": 0}, {"classes": []})
    write_result(result, tmp_path / "a" / "one.json")
    (tmp_path / "other.json").write_text('{"audit": 1}')
    assert read_results(tmp_path) == [result]
    assert result.versions["lrs2m-builder"]


def test_a_model_that_is_not_there_is_one_line_with_the_known_names(tmp_path: Path) -> None:
    build_toy(make_source(tmp_path / "source", 2), tmp_path / "out")
    assert "no model 'longclip'; give a folder, a Hub name, or one of clip-b32" in refused(
        "zcrl", tmp_path / "out", "--model", "longclip"
    )
    listed = lrs2m_eval("models")
    assert "BeichenZhang/LongCLIP-B" in listed.stdout and listed.returncode == 0
