"""The CLIP tokenizer, fast enough to count the tokens of two million captions in passing.

Ids equal open_clip's on any text. Two things make it fast: plain ASCII skips the repair of broken text, and
BPE never crosses white space, so the ids of a white-space separated word are computed once and looked up after.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from functools import cache, lru_cache
from heapq import heappop, heappush
from itertools import chain
from pathlib import Path

import regex

from lrs2m_builder.text import repair

START_OF_TEXT = 49406
END_OF_TEXT = 49407
MERGES_PATH = Path(__file__).with_name("bpe_merges.txt.gz")
MAX_CACHED_WORDS = 500_000  # about 150 MB; the captions of LRS2M hold far fewer distinct words

# One match is one unit of BPE. None of them crosses white space, which the word cache relies on.
_UNITS = regex.compile(
    r"<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+", regex.IGNORECASE
)


def _byte_symbols() -> dict[int, str]:
    """CLIP's printable character for each byte, in the order of its vocabulary.

    Printable Latin-1 bytes map to themselves; the other 68 to the code points from 256 on.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}


class _WordIds(dict[str, tuple[int, ...]]):
    """Cache from a lower-case word to its token ids, emptied when it has grown too large."""

    def __init__(self, merges_path: Path) -> None:
        super().__init__()
        self._symbols = _byte_symbols()
        with gzip.open(merges_path, "rt", encoding="utf-8", newline="\n") as file:
            merges = [(first, second) for first, second in map(str.split, file)]
        self.rank = {pair: rank for rank, pair in enumerate(merges)}
        alphabet = list(self._symbols.values())
        units = [*alphabet, *(symbol + "</w>" for symbol in alphabet), *("".join(pair) for pair in merges)]
        self.unit_ids = {unit: index for index, unit in enumerate(units)}
        self._special = {"<start_of_text>": (START_OF_TEXT,), "<end_of_text>": (END_OF_TEXT,)}

    def __missing__(self, word: str) -> tuple[int, ...]:
        units = _UNITS.findall(word)
        # "field." reuses the cached ids of "field".
        ids = self._unit_ids(word) if units == [word] else tuple(chain.from_iterable(map(self.__getitem__, units)))
        if len(self) >= MAX_CACHED_WORDS:
            self.clear()
        self[word] = ids
        return ids

    def _unit_ids(self, unit: str) -> tuple[int, ...]:
        if unit in self._special:
            return self._special[unit]
        symbols = [self._symbols[byte] for byte in unit.encode("utf-8")]
        symbols[-1] += "</w>"
        after, before = list(range(1, len(symbols) + 1)), list(range(-1, len(symbols) - 1))
        heap: list[tuple[int, int]] = []  # rank and position of every pair that can be merged

        def rank_of(left: int) -> int | None:
            right = after[left]
            return self.rank.get((symbols[left], symbols[right])) if left >= 0 and right < len(symbols) else None

        def offer(left: int) -> None:
            if (rank := rank_of(left)) is not None:
                heappush(heap, (rank, left))

        for place in range(len(symbols)):
            offer(place)
        while heap:
            rank, left = heappop(heap)
            if rank_of(left) != rank:
                continue  # one of the two was already merged with its other neighbour
            right = after[left]
            symbols[left], symbols[right] = symbols[left] + symbols[right], ""
            after[left] = after[right]
            if after[left] < len(symbols):
                before[after[left]] = left
            offer(left)
            offer(before[left])
        return tuple(self.unit_ids[symbol] for symbol in symbols if symbol)


@cache
def _word_ids() -> _WordIds:
    return _WordIds(MERGES_PATH)


def vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Every unit's id, the two special tokens under their public names, and the merges in their order."""
    words = _word_ids()
    special = {"<|startoftext|>": START_OF_TEXT, "<|endoftext|>": END_OF_TEXT}
    return words.unit_ids | special, list(words.rank)


def encode(text: str) -> list[int]:
    """Token ids of a text of any length, with the start and end tokens."""
    words = map(_word_ids().__getitem__, repair(text).lower().split())
    return [START_OF_TEXT, *chain.from_iterable(words), END_OF_TEXT]


def encode_batch(texts: Iterable[str], context_length: int) -> list[list[int]]:
    """Token ids of each text, cut to `context_length`; the last id of a cut text becomes the end token."""
    batch = []
    for text in texts:
        ids = encode(text)
        batch.append(ids if len(ids) <= context_length else [*ids[: context_length - 1], END_OF_TEXT])
    return batch


@lru_cache(maxsize=1024)  # a text is counted when it is checked and again when it is stored
def count_tokens(text: str) -> int:
    """Number of token ids of a text, including the start and end tokens."""
    return 2 + sum(map(len, map(_word_ids().__getitem__, repair(text).lower().split())))
