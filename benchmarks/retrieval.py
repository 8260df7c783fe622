"""Retrieval metrics: ours against clip-benchmark's, each in a separate process: seconds and peak memory.

Then ours with 100,000 images and 500,000 texts as candidates, on some of the queries: a block of scores is as
large as for all queries, and so is the memory. `--device cuda` for a GPU, `--all` for all queries.

    python benchmarks/retrieval.py [--images 1000] [--device cpu] [--all]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

import numpy as np

TEXTS_EACH, WIDTH, LARGE, NUM_QUERIES = 5, 512, 100_000, 128


def unit_rows(number: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((number, WIDTH), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def ours(num_images: int, num_queries: int, device: str) -> None:
    from lrs2m_builder.evals.ranks import image_to_text, text_to_image

    images, texts = unit_rows(num_images, 0), unit_rows(num_images * TEXTS_EACH, 1)
    owners = np.repeat(np.arange(num_images), TEXTS_EACH)
    start = time.perf_counter()
    text_to_image(texts[: num_queries * TEXTS_EACH], images, owners[: num_queries * TEXTS_EACH], device=device)
    image_to_text(images[:num_queries], texts, owners, device=device)
    report(start)


def clip_benchmark(num_images: int, device: str) -> None:
    import torch
    from clip_benchmark.metrics.zeroshot_retrieval import batchify, recall_at_k

    images, texts = torch.from_numpy(unit_rows(num_images, 0)), torch.from_numpy(unit_rows(num_images * TEXTS_EACH, 1))
    start = time.perf_counter()
    scores = texts @ images.T
    positive = torch.zeros_like(scores, dtype=torch.bool)
    positive[torch.arange(len(scores)), torch.arange(len(scores)) // TEXTS_EACH] = True
    for k in (1, 5, 10):
        batchify(recall_at_k, scores, positive, 64, device, k=k)
        batchify(recall_at_k, scores.T, positive.T, 64, device, k=k)
    report(start)


def report(start: float) -> None:
    print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def measured(*words: object) -> tuple[float, float]:
    """(seconds, peak MB) of this file in another process."""
    done = subprocess.run([sys.executable, __file__, *map(str, words)], capture_output=True, text=True, check=True)
    seconds, megabytes = map(float, done.stdout.split())
    return seconds, megabytes


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--child", choices=["ours", "clip_benchmark"])
    parser.add_argument("--queries", type=int)
    options = parser.parse_args()
    if options.child == "ours":
        ours(options.images, options.queries, options.device)
    elif options.child == "clip_benchmark":
        clip_benchmark(options.images, options.device)
    else:
        size = ["--images", options.images, "--device", options.device]
        our_figures = measured("--child", "ours", "--queries", options.images, *size)
        theirs = measured("--child", "clip_benchmark", *size)
        print(f"{options.images} images, {options.images * TEXTS_EACH} texts of {WIDTH} numbers")
        print(f"  ours            {our_figures[0]:8.2f} s  {our_figures[1]:8.0f} MB")
        print(f"  clip-benchmark  {theirs[0]:8.2f} s  {theirs[1]:8.0f} MB   ratio {theirs[0] / our_figures[0]:.1f}")
        queries = LARGE if options.all else NUM_QUERIES
        large = measured("--child", "ours", "--images", LARGE, "--queries", queries, "--device", options.device)
        scope = "" if options.all else f", {queries} of the images and their texts as queries"
        print(f"{LARGE} images, {LARGE * TEXTS_EACH} texts{scope}")
        scores = f"all scores: {LARGE**2 * TEXTS_EACH * 4 / 1e9:.0f} GB"
        print(f"  ours            {large[0]:8.2f} s  {large[1]:8.0f} MB   {scores}")


if __name__ == "__main__":
    main()
