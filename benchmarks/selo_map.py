"""The localization map of a large image: computed once per cell of the windows' grid, against the loop over pixels.

The published code adds the score of every window to the pixels under it and then divides each pixel by its count in a
loop. The result is the same in every pixel; both are timed without the shared filters that follow.

    python benchmarks/selo_map.py [--height 1500] [--width 2000] [--turns 3]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence

import numpy as np

from lrs2m_builder.evals.selo.text_map import make_map, raw_map
from lrs2m_builder.evals.selo.windows import Window, make_windows


def loop_map(windows: Sequence[Window], scores: np.ndarray, height: int, width: int) -> np.ndarray:
    """The map by its definition, pixel by pixel."""
    sums, counts = np.zeros((height, width)), np.zeros((height, width))
    for window, score in zip(windows, scores, strict=True):
        sums[window.top : window.bottom, window.left : window.right] += score
        counts[window.top : window.bottom, window.left : window.right] += 1
    for row in range(height):
        for column in range(width):
            sums[row, column] = sums[row, column] / counts[row, column]
    sums -= sums.min()
    return (255 * (sums / sums.max())).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--height", type=int, default=1500)
    parser.add_argument("--width", type=int, default=2000)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    height, width = arguments.height, arguments.width
    windows = make_windows(height, width)
    ratios = []
    for turn in range(arguments.turns):
        scores = np.random.default_rng(turn).normal(0.2, 0.05, len(windows)).astype(np.float32)
        started = time.perf_counter()
        ours = raw_map(windows, scores)
        fast = time.perf_counter() - started
        started = time.perf_counter()
        theirs = loop_map(windows, scores, height, width)
        slow = time.perf_counter() - started
        ratios.append(slow / fast)
        print(
            f"turn {turn}: {len(windows)} windows over {width} x {height} pixels: {1000 * fast:.1f} ms, "
            f"loop {slow:.2f} s, ratio {ratios[-1]:.0f}; {np.count_nonzero(ours != theirs)} pixels differ"
        )
    print(f"median ratio {statistics.median(ratios):.0f}")
    started = time.perf_counter()
    make_map(windows, scores)
    print(f"with the median filter and the JPEG round trip: {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main()
