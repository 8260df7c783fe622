"""What is measured while a model trains: recall on held-out pairs, accuracy on held-out folders of classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lrs2m_builder.clip.model import Loaded
from lrs2m_builder.errors import UserError
from lrs2m_builder.evals.held_out import HeldOut, measure_recall, read_held_out
from lrs2m_builder.evals.held_out_classes import (
    HeldOutClasses,
    figure_name,
    is_class_folder,
    measure_classes,
    read_classes,
)
from lrs2m_builder.evals.retrieval import KS
from lrs2m_builder.train.config import TrainConfig


@dataclass(frozen=True, slots=True)
class Measures:
    """Held-out data, read once, and the measurement of a model on all of it.

    Attributes:
        names: of all figures.
    """

    pairs: HeldOut | None
    classes: tuple[HeldOutClasses, ...]

    @property
    def names(self) -> tuple[str, ...]:
        kinds = self.pairs.texts if self.pairs else ()
        recalls = [f"{kind}_{way}_r{k}" for kind in kinds for way in ("t2i", "i2t") for k in KS]
        return (*recalls, *(f"{kind}_mr" for kind in kinds), *(each.name for each in self.classes))

    def __call__(self, loaded: Loaded) -> dict[str, float]:
        """All figures, in 0 .. 1."""
        figures = measure_recall(loaded, self.pairs) if self.pairs else {}
        for each in self.classes:
            figures |= measure_classes(loaded, each)
        return figures


def make_measures(paths: Sequence[Path], config: TrainConfig) -> Callable[[Loaded], Measures]:
    """What `train` takes to measure: pairs are Parquet files, classes folders with one subfolder per class.

    Raises:
        UserError: two folders of classes have the same name.
    """
    folders = [path for path in paths if is_class_folder(path)]
    names = [figure_name(path) for path in folders]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"--eval-data: two folders of classes give the figure {twice[0]}; rename one")
    tables = [path for path in paths if path not in folders]

    def read(start: Loaded) -> Measures:
        image_dir = Path(config.image_dir) if config.image_dir else None
        pairs = read_held_out(tables, start, image_dir=image_dir) if tables else None
        return Measures(pairs, tuple(read_classes(path, start) for path in folders))

    return read
