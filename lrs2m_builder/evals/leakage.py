"""Whether a model was trained on the images that it is evaluated on: if so, its score is not zero-shot.

The training data of a run are known (its config.json, and that of the run it started from); others are given.
Copies at another quality or size, flipped or turned, are found as `lrs2m audit` finds them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from lrs2m_builder.dataset.audit.collect import Collection
from lrs2m_builder.dataset.audit.hashes import Hashes, hash_thumbnails
from lrs2m_builder.dataset.audit.pairs import near_pairs
from lrs2m_builder.dataset.foreign import check_pairs
from lrs2m_builder.dataset.tables import record_files
from lrs2m_builder.errors import SampleError, UserError, one_line
from lrs2m_builder.schema import ImageRef
from lrs2m_builder.stores.outputs import finished_folder

NUM_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Leakage:
    """The outcome of a search for evaluation images in a model's training data.

    Attributes:
        trained_on: paths of the training data; empty if none are known.
        missing: those that no longer exist and were not searched.
        training_images: number of distinct images that were searched.
        unchecked: training images of which the data hold only the names.
        leaked: number of evaluation images that are in the training data.
        examples: pairs of an evaluation image and a training image.
    """

    trained_on: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    training_images: int = 0
    unchecked: int = 0
    leaked: int = 0
    examples: tuple[tuple[str, str], ...] = ()


def training_data(model: str) -> list[Path]:
    """The data that a training run and the runs it started from were trained on; none for any other model."""
    found: list[Path] = []
    seen: set[Path] = set()
    path = Path(model).expanduser()
    while (config := _run_config(path)) and config not in seen:
        seen.add(config)
        content = json.loads(config.read_text(encoding="utf-8"))
        found += [Path(data) for data in content["data"] if Path(data) not in found]
        path = Path(str(content["config"].get("start", ""))).expanduser()
    return found


def _run_config(model: Path) -> Path | None:
    """The config.json of the training run that a path is, or that holds a model."""
    for folder in (model, model.parent):
        path = folder / "config.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # no run: most models are none
        if (
            isinstance(content, dict)
            and isinstance(content.get("data"), list)
            and isinstance(content.get("config"), dict)
        ):
            return path
    return None


def find_leaks(
    images: Sequence[ImageRef],
    trained_on: Sequence[Path],
    *,
    cache: Path | None = None,
    show_progress: bool = False,
) -> Leakage:
    """Look for the images of an evaluation among those of training data.

    Args:
        cache: a folder that keeps the hashes of the training images for later evaluations.

    Raises:
        UserError: an image or the training data cannot be read.
    """
    there = [path for path in trained_on if path.exists()]
    missing = tuple(str(path) for path in trained_on if path not in there)
    if not there:
        return Leakage(tuple(map(str, trained_on)), missing)
    with tempfile.NamedTemporaryFile(prefix="lrs2m-thumbnails-") as file:
        collection = Collection(file)
        try:
            known = _look_at_training(collection, there, cache, show_progress=show_progress)
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"training data: cannot be read ({one_line(error)}); see that they are whole") from error
        first_new = len(collection.places)
        try:
            collection.add_files(images, "the evaluation", show_progress=show_progress)
        except SampleError as error:
            raise UserError(f"the evaluation needs every image, and one fails: {error}") from error
        thumbnails = collection.thumbnails()
        hashes = _joined(known, hash_thumbnails(thumbnails[first_new:]), first_new)
        near = near_pairs(hashes, thumbnails, first_new=first_new, show_progress=show_progress)
    twins: dict[int, set[int]] = {}
    for one, other in zip(near.first.tolist(), near.second.tolist(), strict=True):
        twins.setdefault(one, set()).add(other)
        twins.setdefault(other, set()).add(one)
    training = {p.content: p.key for p in reversed(collection.pictures) if not p.is_evaluation}
    pairs = []
    for picture in collection.pictures:
        if picture.is_evaluation:
            alike = [picture.content, *sorted(twins.get(picture.content, ()))]
            if (content := next((each for each in alike if each in training), None)) is not None:
                pairs.append((picture.key, training[content]))
    return Leakage(
        trained_on=tuple(map(str, trained_on)),
        missing=missing,
        training_images=len(training),
        unchecked=collection.without_image,
        leaked=len(pairs),
        examples=tuple(pairs[:NUM_EXAMPLES]),
    )


def _look_at_training(
    collection: Collection, paths: Sequence[Path], cache: Path | None, *, show_progress: bool
) -> Hashes:
    """Add the images of training data, from the cache if it has them; returns their hashes."""
    files = [file for path in paths for file in record_files(path)]
    check_pairs(files, uses=("sample_id", "subset", "image_sha256"))
    kept = cache / _fingerprint(files) if cache else None
    if kept is not None and kept.is_dir():
        try:
            collection.take(kept)
            with np.load(kept / "hashes.npz") as arrays:
                return Hashes(arrays["values"], arrays["owners"], arrays["turns"], int(arrays["num_flat"]))
        except (OSError, ValueError, KeyError):  # damaged: it is made again
            shutil.rmtree(kept)
            collection.restart()
    collection.add_records(files, show_progress=show_progress)
    hashes = hash_thumbnails(collection.thumbnails())
    if kept is not None:
        with finished_folder(kept) as part:
            collection.keep(part)
            np.savez(part / "hashes.npz", **asdict(hashes))
    return hashes


def _fingerprint(files: Sequence[Path]) -> str:
    """A name that changes with the files."""
    stats = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(stats).encode()).hexdigest()[:16]


def _joined(known: Hashes, new: Hashes, first_new: int) -> Hashes:
    return Hashes(
        np.concatenate([known.values, new.values]),
        np.concatenate([known.owners, new.owners + first_new]),
        np.concatenate([known.turns, new.turns]),
        known.num_flat + new.num_flat,
    )


def refuse_leaks(found: Leakage, num_images: int) -> None:
    """Stop if evaluation images were found in the training data.

    Raises:
        UserError: evaluation images were found in the training data.
    """
    if found.leaked:
        mine, theirs = found.examples[0]
        raise UserError(
            f"{found.leaked} of {num_images} evaluation images are in the training data, such as {mine} ({theirs} "
            "there): no zero-shot result; train without them (lrs2m audit DATA --against EVALUATION lists them), or "
            "give --allow-leak to continue and record the leak in the result"
        )
