"""Token counts per second: our tokenizer, the tokenizers library and open_clip, with the same ids.

The texts are real captions joined to about 60 tokens each, like long texts; every id of ours is compared with
those of the other two. The tokenizers library runs on all cores in batches of 5,000 (one giant batch is slower),
ours on one. They are timed alternately in several turns; ours starts each turn with an empty cache.

    python benchmarks/tokenize_captions.py [--texts 100000] [--turns 3]
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

from _common import real_data

from lrs2m_builder import tokenizer as ours
from lrs2m_builder.text import normalise_caption

BATCH = 5000


def load_texts(count: int) -> list[str]:
    """Real captions, chosen at random and joined until a text has about 60 tokens."""
    captions = []
    for name in ("ucm_captions/dataset_ucm.json", "sydney_captions/dataset_sydney_modified.json"):
        content = json.loads((real_data() / name).read_text())
        captions += [s["raw"] for image in content["images"] for s in image["sentences"]]
    for path in sorted((real_data() / "rsicd" / "textaug").glob("*.jsonl")):
        captions += [text for line in path.read_text().splitlines() for text in json.loads(line)["captions"]]
    captions += (real_data() / "rs5m" / "rs3_dump.csv").read_text().splitlines()[1:]
    captions = [text for caption in captions if (text := normalise_caption(caption))]
    random_ = random.Random(0)
    texts = []
    for _ in range(count):
        text = random_.choice(captions)
        while len(text.split()) < 40:
            text += " " + random_.choice(captions)
        texts.append(text)
    return texts


def library_tokenizer() -> Any:
    """CLIP's tokenizer in the tokenizers library, from the same merges."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    with gzip.open(ours.MERGES_PATH, "rt", encoding="utf-8", newline="\n") as file:
        merges = [(left, right) for left, right in (line.split() for line in file)]
    alphabet = list(ours._byte_symbols().values())
    units = [*alphabet, *(a + "</w>" for a in alphabet), *("".join(pair) for pair in merges)]
    bpe = models.BPE(vocab={unit: index for index, unit in enumerate(units)}, merges=merges, end_of_word_suffix="</w>")
    tokenizer = Tokenizer(bpe)
    tokenizer.normalizer = normalizers.Lowercase()
    units_pattern = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(units_pattern), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer


def timed(count: Callable[[], Any]) -> float:
    start = time.perf_counter()
    count()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    texts = load_texts(arguments.texts)
    library = library_tokenizer()
    import os

    from open_clip.tokenizer import SimpleTokenizer

    os.environ["TOKENIZERS_PARALLELISM"] = "true"  # open_clip turned it off for the whole process
    open_clip = SimpleTokenizer()
    sample = texts[:: max(1, len(texts) // 5000)]
    for text, encoding in zip(sample, library.encode_batch(sample, add_special_tokens=False), strict=True):
        assert ours.encode(text)[1:-1] == encoding.ids == open_clip.encode(text), text
    mean = statistics.mean(map(ours.count_tokens, texts))
    print(f"{len(texts)} texts, {mean:.1f} tokens each; {len(sample)} compared: same ids")

    def count_ours() -> None:
        ours._word_ids().clear()
        for text in texts:
            ours.count_tokens(text)

    def encode_ours() -> None:
        ours._word_ids().clear()
        for text in texts:
            ours.encode(text)

    def count_library() -> None:
        for start in range(0, len(texts), BATCH):
            for encoding in library.encode_batch_fast(texts[start : start + BATCH], add_special_tokens=False):
                len(encoding)

    few = texts[: len(texts) // 20]  # open_clip is slow: a twentieth, scaled

    def count_open_clip() -> None:
        for text in few:
            len(open_clip.encode(text))

    ratios = []
    for turn in range(arguments.turns):
        rate = {
            "ours, counts": len(texts) / timed(count_ours),
            "ours, ids": len(texts) / timed(encode_ours),
            "tokenizers": len(texts) / timed(count_library),
            "open_clip": len(few) / timed(count_open_clip),
        }
        ratios.append(rate["ours, counts"] / rate["tokenizers"])
        print(f"turn {turn}: " + ", ".join(f"{name} {value:,.0f}/s" for name, value in rate.items()))
    print(f"ratio ours / tokenizers: median {statistics.median(ratios):.1f}")


if __name__ == "__main__":
    main()
