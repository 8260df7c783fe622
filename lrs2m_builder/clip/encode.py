"""Encodes images and texts to features of unit length, batch by batch: the first step of evaluations and scores."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from lrs2m_builder.clip.model import Loaded, encode_image, encode_text
from lrs2m_builder.clip.tokens import pad_ids
from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.images.load import decode
from lrs2m_builder.schema import ImageRef

Features = NDArray[np.float32]
MAX_TOKENS = 16 * 1024  # of a batch of texts, padding included: short texts share larger batches
BATCH_SIZE = 64  # images


def encode_images(
    loaded: Loaded,
    images: Iterable[ImageRef | Image.Image],
    *,
    workers: int | None = None,
    show_progress: bool = True,
) -> Features:
    """Image features, float32: (number of images, D), each row of length 1, in the order of `images`.

    Args:
        images: files, members of archives or cells of tables, or pictures; taken one after the other, so that a
            generator's pictures are not all in memory.
        workers: threads that read, decode and resize; default: one per core.

    Raises:
        UserError: an image cannot be read: a score without it would not be comparable.
    """
    device = next(loaded.model.parameters()).device
    total = len(images) if isinstance(images, Sequence) else None
    found = []
    with torch.inference_mode(), _bar("images", total, show_progress) as bar:
        for tensors in _groups(_prepared(loaded, images, workers or os.cpu_count() or 1)):
            features_BD = encode_image(loaded.model, torch.stack(tensors).to(device))
            found.append(features_BD.float().cpu().numpy())
            bar.update(len(tensors))
    return finite(np.concatenate(found) if found else _no_features(loaded), "image")


def encode_texts(loaded: Loaded, texts: Sequence[str], *, show_progress: bool = True) -> Features:
    """Text features, float32: (number of texts, D), each row of length 1, in the order of `texts`.

    Texts of one length share a batch and none is padded to the context, which changes no feature; a text that is
    longer than the context is cut, as `count_cut` tells.
    """
    device = next(loaded.model.parameters()).device
    ids = loaded.tokenize.encode(texts)
    order = sorted(range(len(ids)), key=lambda number: len(ids[number]))
    features = _no_features(loaded, len(ids))
    with torch.inference_mode(), _bar("texts", len(ids), show_progress) as bar:
        for numbers in _by_length(order, [len(each) for each in ids]):
            batch_BT = pad_ids([ids[number] for number in numbers]).to(device)
            features[numbers] = encode_text(loaded.model, batch_BT).float().cpu().numpy()
            bar.update(len(numbers))
    return finite(features, "text")


def finite(features: Features, what: str) -> Features:
    """The features as they are: every number that is made of them goes through here, and not-a-number has no rank.

    Raises:
        UserError: some are infinite or no numbers: a broken weight would otherwise pass for a perfect model.
    """
    broken = int((~np.isfinite(features)).any(axis=1).sum()) if features.size else 0
    if broken:
        raise UserError(
            f"the model gives no numbers for {broken} of {len(features)} {what} features (NaN or infinite): "
            "its weights are broken or its training diverged; evaluate an earlier checkpoint"
        )
    return features


def _no_features(loaded: Loaded, number: int = 0) -> Features:
    return np.zeros((number, loaded.model.config.projection_dim), np.float32)


def _bar(what: str, total: int | None, show: bool) -> tqdm[NoReturn]:
    return tqdm(total=total, desc=what, unit=what.removesuffix("s"), file=sys.stderr, disable=not show, leave=False)


def _prepared(loaded: Loaded, images: Iterable[ImageRef | Image.Image], workers: int) -> Iterator[torch.Tensor]:
    """Yield pixels_CHW in order; a few batches are prepared ahead."""

    def prepare(image: ImageRef | Image.Image) -> torch.Tensor:
        return loaded.transform(image if isinstance(image, Image.Image) else decode(image))

    waiting: deque[tuple[ImageRef | Image.Image, Future[torch.Tensor]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for image in images:
            waiting.append((image, pool.submit(prepare, image)))
            if len(waiting) >= max(4 * workers, BATCH_SIZE):
                yield _result(*waiting.popleft())
        while waiting:
            yield _result(*waiting.popleft())


def _result(image: ImageRef | Image.Image, future: Future[torch.Tensor]) -> torch.Tensor:
    try:
        return future.result()
    except SampleError as error:
        raise UserError(f"{image}: the evaluation needs every image, and this one fails: {error}") from error


def _groups(tensors: Iterator[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    while group := list(islice(tensors, BATCH_SIZE)):
        yield group


def _by_length(order: Sequence[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of texts of similar lengths, at most MAX_TOKENS per batch; `order` is by length."""
    batch: list[int] = []
    for number in order:
        if batch and (len(batch) + 1) * lengths[number] > MAX_TOKENS:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch
