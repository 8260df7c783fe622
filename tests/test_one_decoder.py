"""One way to read an image, with one bound and one list of damage, for building, training, auditing and viewing."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lrs2m_builder.dataset.audit.thumbnails import thumbnail
from lrs2m_builder.dataset.view.rows import picture
from lrs2m_builder.errors import SampleError
from lrs2m_builder.images.files import image_ref
from lrs2m_builder.images.load import decode, load_stored
from lrs2m_builder.schema import ImageBytes
from tests.toy import ROOT


def bomb() -> bytes:
    """A PNG of 400 million pixels in a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    packed = zlib.compressobj(9)
    rows = b"".join(packed.compress(bytes(2501)) for _ in range(20_000)) + packed.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def saved(format_: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((40, 30), 60).convert("RGB").save(buffer, format_, **options)
    return buffer.getvalue()


def wide_bmp() -> bytes:
    """A BMP whose header claims a width of two billion pixels."""
    data = bytearray(saved("BMP"))
    data[18:22] = struct.pack("<i", 2**31 - 1)
    return bytes(data)


def overwritten_png() -> bytes:
    data = saved("PNG")
    return data[:60] + b"\xff" * 40 + data[100:]


DAMAGED = {
    "bomb": bomb,
    "wide bmp": wide_bmp,
    "cut jpeg": lambda: saved("JPEG")[:300],
    "cut webp": lambda: saved("WEBP")[:100],
    "overwritten png": overwritten_png,
    "cut gif": lambda: saved("GIF")[:40],
    "cut tiff": lambda: saved("TIFF")[:200],
    "no image": lambda: b"<svg/>" * 9,
    "nothing": lambda: b"",
}


@pytest.mark.parametrize("make", DAMAGED.values(), ids=DAMAGED)
def test_what_is_damaged_for_the_build_is_damaged_for_everybody(make: Callable[[], bytes]) -> None:
    ref = ImageBytes(make())
    for read in (decode, load_stored, thumbnail, lambda ref: decode(image_ref(ref.data))):
        with pytest.raises(SampleError, match=r"^image_"):
            read(ref)


def test_a_browser_is_given_no_bomb() -> None:
    assert picture(bomb(), small=False) is None


def test_reading_images_changes_no_setting_of_pillow() -> None:
    script = (
        "from PIL import Image; before = Image.MAX_IMAGE_PIXELS\n"
        "import lrs2m_builder.images.load, lrs2m_builder.clip.encode, lrs2m_builder.train.loading\n"
        "assert before and Image.MAX_IMAGE_PIXELS == before"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


@pytest.mark.parametrize(
    "format_", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "TGA", "ICO", "AVIF", "JPEG2000"]
)
def test_every_format_is_known_by_its_content(format_: str, tmp_path: Path) -> None:
    path = tmp_path / "no_suffix"
    path.write_bytes(data := saved(format_))
    with Image.open(io.BytesIO(data)) as image:
        assert decode(path).tobytes() == decode(ImageBytes(data)).tobytes() == image.convert("RGB").tobytes()


def test_an_image_larger_than_pillows_own_guard_is_read() -> None:
    buffer = io.BytesIO()
    Image.new("1", (14_000, 13_500)).save(buffer, "PNG")  # 189 million pixels; Pillow refuses more than 179
    assert decode(ImageBytes(buffer.getvalue()), lambda width, height: (14, 13)).size == (14, 13)
