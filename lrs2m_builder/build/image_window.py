"""Images of the current samples, decoded ahead of the engine by a pool of threads."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from PIL import Image

from lrs2m_builder.images.load import IMAGE_WORKERS, decode
from lrs2m_builder.images.part import Part
from lrs2m_builder.schema import ImageRef

MAX_KEPT = 4 * IMAGE_WORKERS  # decoded or being decoded; adjacent samples often share an image


class ImageWindow:
    """Decodes each image once for adjacent samples, and holds a bounded number of images.

    Attributes:
        num_waiting: number of samples that wait for their image.
    """

    def __init__(self, size: Callable[[int, int], tuple[int, int]], part: Part) -> None:
        """Start the threads.

        Args:
            size: maps an image's width and height to the size that the engine needs.
            part: which bands, and which of several images side by side, are decoded.
        """
        self._size, self._part = size, part
        self._pool = ThreadPoolExecutor(IMAGE_WORKERS, thread_name_prefix="image")
        self._images: OrderedDict[ImageRef, asyncio.Future[Image.Image]] = OrderedDict()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_stopping = False
        self.num_waiting = 0

    async def get(self, ref: ImageRef) -> Image.Image | None:
        """An image; None if the build is stopped before it is decoded.

        Raises:
            SampleError: it is missing or damaged.
        """
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.num_waiting += 1
        try:
            return await asyncio.shield(self._decoded(ref))
        except asyncio.CancelledError:
            if not self._is_stopping:
                raise
            return None
        finally:
            self.num_waiting -= 1
            self._tasks.discard(task)

    def _decoded(self, ref: ImageRef) -> asyncio.Future[Image.Image]:
        future = self._images.get(ref)
        if future is None:
            future = asyncio.get_running_loop().run_in_executor(self._pool, decode, ref, self._size, self._part)
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._images[ref] = future
            while len(self._images) > MAX_KEPT:
                self._images.popitem(last=False)
        return future

    def stop(self) -> None:
        """Release the samples that wait for an image."""
        self._is_stopping = True
        for task in self._tasks:
            task.cancel()

    def close(self, *, wait: bool) -> None:
        """End the threads.

        Args:
            wait: whether to wait for running reads; not when a build stops: a read from a dead disk may hang.
        """
        self._pool.shutdown(wait=wait, cancel_futures=True)
