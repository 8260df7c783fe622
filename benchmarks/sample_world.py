"""Scenes of the sample world per second, on one core, after the textures are made.

Ours:        draw a scene of 224 x 224 pixels with its truth, and write its texts.
Alternative: read the same scenes back from PNG files, the minimum cost of a data set on disk.

    python benchmarks/sample_world.py [--scenes 500]
"""

from __future__ import annotations

import argparse
import io
import time

from PIL import Image

from lrs2m_builder.sample.drawing.scene import draw_scene
from lrs2m_builder.sample.texts import write_texts


def main() -> None:
    """Time both and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=500)
    count = parser.parse_args().scenes
    for index in range(40):
        draw_scene(1, index)
    start = time.process_time()
    scenes = [draw_scene(0, index) for index in range(count)]
    drawn = time.process_time()
    for scene in scenes:
        write_texts(scene)
    written = time.process_time()
    files = []
    for scene in scenes:
        files.append(io.BytesIO())
        scene.image.save(files[-1], "PNG", compress_level=1)
    begin = time.process_time()
    for file in files:
        Image.open(file).load()
    read = count / (time.process_time() - begin)
    both = count / (written - start)
    print(f"drawn   {count / (drawn - start):8.0f} scenes/s")
    print(f"written {count / (written - drawn):8.0f} texts/s")
    print(
        f"both    {both:8.0f} scenes/s with texts; PNG files are read at {read:.0f} images/s: ratio {both / read:.2f}"
    )


if __name__ == "__main__":
    main()
