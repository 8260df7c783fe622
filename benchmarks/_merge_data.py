"""The data of `merge.py`: a VHM-like list and an RS5M-like CSV of any size, made from a seed.

The list has the form and about the size of the real one; the CSV also has unmatched rows and rows of
another data set, as in RS5M's rs3 part.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lrs2m_builder.tokenizer import MERGES_PATH

LONG_WORDS, SHORT_WORDS = 65, 11  # about 77 and 13 CLIP tokens
VOCABULARY = 12_000
QUESTION = (
    "<image>\nPlease provide a detailed description of the remote sensing image, with its objects and attributes."
)
SENTENCE = 16  # words


def write_sources(folder: Path, num_rows: int, seed: int = 0) -> None:
    """Write `list_pretrain.json` and `rs3_dump.csv`: as many images as rows, each with a long and a short text."""
    random = np.random.default_rng(seed)
    order = random.permutation(num_rows)  # the two files name the images in different orders
    with (folder / "list_pretrain.json").open("w", encoding="utf-8") as file:
        for number, text in enumerate(texts(random, num_rows, LONG_WORDS)):
            turns = [{"from": "human", "value": QUESTION}, {"from": "gpt", "value": text}]
            entry = {"image": f"P{number:07d}.jpg", "source_dataset": "MillionAID", "conversations": turns}
            file.write(("[" if number == 0 else ",\n ") + json.dumps(entry))
        file.write("]\n")
    with (folder / "rs3_dump.csv").open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["name", "caption"])
        for number, text in enumerate(texts(random, num_rows, SHORT_WORDS)):
            lines.writerow([f"millionaid_P{order[number]:07d}.jpg", text])
            if number % 10 == 0:
                lines.writerow([f"millionaid_Q{number:07d}.jpg", text])
            if number % 3 == 0:
                lines.writerow([f"ben_{number}.jpg", text])


def texts(random: np.random.Generator, num_texts: int, mean_words: int) -> Iterator[str]:
    """Sentences of words drawn by Zipf's law from the vocabulary of CLIP."""
    with gzip.open(MERGES_PATH, "rt", encoding="utf-8") as file:
        words = ["".join(line.split()).removesuffix("</w>") for line in file if line.rstrip().endswith("</w>")]
    words = [word for word in words if word.isascii() and word.isalpha() and len(word) > 3][:VOCABULARY]
    chances = 1 / np.arange(1, len(words) + 1)
    for first in range(0, num_texts, 10_000):
        lengths = random.poisson(mean_words, min(10_000, num_texts - first)).clip(3)
        drawn = random.choice(len(words), lengths.sum(), p=chances / chances.sum())
        start = 0
        for length in lengths:
            text_words = [words[i] for i in drawn[start : start + length]]
            start += length
            sentences = (" ".join(text_words[i : i + SENTENCE]).capitalize() for i in range(0, length, SENTENCE))
            yield ". ".join(sentences) + "."
