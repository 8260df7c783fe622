"""Recalls are those of a plain sort and of clip-benchmark, ties included, and need no memory for the whole matrix."""

from __future__ import annotations

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

from lrs2m_builder.clip.encode import encode_texts
from lrs2m_builder.clip.model import encode_image, encode_text, random_model
from lrs2m_builder.evals import ranks as ranks_module
from lrs2m_builder.evals.data import Columns, EvalImage, read_images
from lrs2m_builder.evals.ranks import image_to_text, text_to_image
from lrs2m_builder.evals.registry import find_evaluation
from lrs2m_builder.evals.retrieval import KS, evaluate, score

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
    assert tuple(found.metrics) == tuple(find_evaluation("zcrl").metrics)


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


def test_intervals_hold_the_recall_and_are_the_same_for_the_same_seed() -> None:
    images, texts = features(0, 60, ties=False), features(1, 300, ties=False)
    owners = np.repeat(np.arange(60), 5)
    found = score(images, texts, owners, seed=3)
    assert found.intervals == score(images, texts, owners, seed=3).intervals
    for name, (low, high) in found.intervals.items():
        assert low <= found.metrics[name] <= high and low < high
