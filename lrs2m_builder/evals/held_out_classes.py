"""Zero-shot classification of held-out folders of classes, which shows during training what a model recognises."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lrs2m_builder.clip.encode import encode_texts
from lrs2m_builder.clip.model import Loaded, encode_image
from lrs2m_builder.errors import SampleError, UserError, one_line
from lrs2m_builder.evals.classes import class_numbers, class_sets, find_list, templates
from lrs2m_builder.evals.data import Columns, read_images
from lrs2m_builder.evals.ranks import Numbers
from lrs2m_builder.files import files_below, is_hidden
from lrs2m_builder.images.load import decode


@dataclass(frozen=True, slots=True)
class HeldOutClasses:
    """Images of several classes that are not trained on.

    Attributes:
        name: of the figure.
        pixels_NCHW: float16, half of what they would take otherwise.
        texts: one per class.
        class_N: number of each image's class.
    """

    name: str
    pixels_NCHW: Tensor
    texts: tuple[str, ...]
    class_N: Numbers


def is_class_folder(path: Path) -> bool:
    """Whether a folder holds folders of images and no tables."""
    if not path.is_dir() or next(files_below(path, ".parquet"), None) is not None:
        return False
    return sum(each.is_dir() and not is_hidden(each.name) for each in path.iterdir()) > 1


def figure_name(path: Path) -> str:
    """The name of a folder's accuracy: "eurosat_accuracy"."""
    return f"{re.sub(r'[^a-z0-9]+', '_', path.resolve().name.lower()).strip('_') or 'classes'}_accuracy"


def read_classes(path: Path, loaded: Loaded) -> HeldOutClasses:
    """Read a folder with one subfolder per class; its names are those of the paper's set with these classes, if any.

    Raises:
        UserError: an image cannot be read, or there are fewer than two classes.
    """
    images = read_images(str(path), Columns())
    chosen = find_list({each.label for each in images})
    names, class_n = class_numbers(images, class_sets()[chosen] if chosen else None)
    (sentence,) = templates()["paper"]
    pixels = []
    for each in images:
        try:
            pixels.append(loaded.transform(decode(each.image)).half())
        except SampleError as error:
            raise UserError(f"{path}: {each.name}: a held-out image cannot be read ({one_line(error)})") from error
    texts = tuple(sentence.replace("{class_name}", name) for name in names)
    return HeldOutClasses(figure_name(path), torch.stack(pixels), texts, np.asarray(class_n))


def measure_classes(loaded: Loaded, held_out: HeldOutClasses, *, batch_size: int = 64) -> dict[str, float]:
    """The accuracy in 0 .. 1, by its name; of equal scores the first class is taken."""
    device = next(loaded.model.parameters()).device
    was_training = loaded.model.training
    loaded.model.eval()
    class_cd = torch.from_numpy(encode_texts(loaded, held_out.texts, show_progress=False))
    found = []
    with torch.inference_mode():
        for part in held_out.pixels_NCHW.split(batch_size):
            features = encode_image(loaded.model, part.to(device, torch.float32)).float().cpu()
            found.append((features @ class_cd.T).argmax(1))
    loaded.model.train(was_training)
    return {held_out.name: float((torch.cat(found).numpy() == held_out.class_N).mean())}
