"""What the experiments of the paper compare: trainings and published models, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from lrs2m_builder.errors import UserError, not_among
from lrs2m_builder.evals.registry import paper_tests

Scale = Literal["tiny", "paper"]
START = "start"  # the model that trainings of the tiny scale start from, as the paper's start from CLIP


@dataclass(frozen=True, slots=True)
class Variant:
    """A line of an experiment's table: a training, or a published model that is only evaluated.

    Attributes:
        label: what distinguishes it from the other lines; in a figure, its place along the axis.
        config: name of its training configuration (train/config.py).
        model: short name of the published model.
        paper: names of the paper's rows for it, in the tables that have one.
        tiny: what replaces it at the tiny scale: settings of the training, START for that model without training, or
            None for nothing. By default the settings in which `config` differs from the paper's.
    """

    label: str
    config: str = ""
    model: str = ""
    paper: tuple[str, ...] = ()
    tiny: Mapping[str, object] | str | None = field(default_factory=dict)

    def run_name(self, scale: Scale, seed: int = 0) -> str:
        """Folder of its training and results; variants of the same settings share one."""
        if scale == "tiny" and self.tiny == START:
            return START
        return f"{self.config}-seed{seed}" if self.config and seed else self.config or self.model

    def is_at(self, scale: Scale) -> bool:
        """Whether it is run at a scale."""
        return scale == "paper" or self.tiny is not None


@dataclass(frozen=True, slots=True)
class Experiment:
    """A table or a figure of the paper.

    Attributes:
        varies: what the first column, or the axis, is.
        tests: the evaluations of each variant.
    """

    name: str
    title: str
    varies: str
    variants: tuple[Variant, ...]
    tests: tuple[str, ...] = field(default_factory=paper_tests)

    @property
    def is_figure(self) -> bool:
        """Whether the paper shows it as a plot."""
        return self.name.startswith("figure")


@dataclass(frozen=True, slots=True)
class Size:
    """How much is drawn and trained at the tiny scale.

    Attributes:
        pairs: number of pairs that the trainings of an experiment see.
        start_pairs: number of other pairs, for the starts.
        epochs, start_epochs: passes over them.
        max_steps: maximum steps per training.
        test_scenes: number of scenes that the models are evaluated on.
    """

    pairs: int = 2000
    start_pairs: int = 1000
    epochs: int = 1
    start_epochs: int = 12
    batch_size: int = 64
    max_steps: int | None = None
    test_scenes: int = 294


def find_experiment(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        UserError: there is none; the message lists the known ones.
    """
    if name not in EXPERIMENTS:
        raise UserError(f"no experiment {name!r}{not_among(name, EXPERIMENTS)}")
    return EXPERIMENTS[name]


LRSCLIP = "LRSCLIP"
_MAIN = f"ViT-B/16 {LRSCLIP}"


def _published(size: str, model: str, short_name: str, start: bool = False) -> Variant:
    return Variant(f"{size} {model}", model=short_name, paper=(f"{size} {model}",), tiny=START if start else None)


def _ours(size: str, config: str, tiny: Mapping[str, object] | None) -> Variant:
    return Variant(f"{size} {LRSCLIP}", config=config, paper=(f"{size} {LRSCLIP}",), tiny=tiny)


# At the tiny scale only the start, in place of CLIP or Long-CLIP, and the model trained from it.
_LONG_B, _LONG_L = (("ViT-B/16", "Long-CLIP", "longclip-b16"), ("ViT-L/14", "Long-CLIP", "longclip-l14"))
_OURS = (_ours("ViT-B/16", "paper_b16", {}), _ours("ViT-L/14", "paper_l14", None))
_B32 = _published("ViT-B/32", "CLIP", "clip-b32", start=True)
_SHORT_MODELS = (
    _B32,
    _published("ViT-B/32", "GeoRSCLIP", "georsclip-b32"),
    _published(*_LONG_B),
    _OURS[0],
    _published("ViT-L/14", "CLIP", "clip-l14"),
    _published("ViT-L/14", "GeoRSCLIP", "georsclip-l14"),
    _published(*_LONG_L),
    _OURS[1],
)
_REMOTE = (
    _published("ViT-B/32", "RemoteCLIP", "remoteclip-b32"),
    _published("ViT-L/14", "RemoteCLIP", "remoteclip-l14"),
)
_ALL_MODELS = (_B32, _REMOTE[0], *_SHORT_MODELS[1:5], _REMOTE[1], *_SHORT_MODELS[5:])
_TINY_SIZES: dict[str, dict[str, object]] = {
    "paper_b32": {"start": "start_coarse"},
    "paper_l14": {"start": "start_wide"},
}


def _ablation(label: str, config: str, paper: str = "", **tiny: object) -> Variant:
    return Variant(label, config=config, paper=(paper,) if paper else (), tiny=tiny)


def _size(label: str, config: str) -> Variant:
    paper = () if config == "paper_b32" else (f"ViT-{label} {LRSCLIP}",)
    return Variant(label, config=config, paper=paper, tiny=_TINY_SIZES.get(config, {}))


EXPERIMENTS: dict[str, Experiment] = {
    each.name: each
    for each in (
        Experiment(
            "table_ii",
            "Long-text retrieval",
            "model",
            (_published(*_LONG_B, start=True), _OURS[0], _published(*_LONG_L), _OURS[1]),
            ("zcrl",),
        ),
        Experiment("table_iii", "Short-text retrieval", "model", _SHORT_MODELS, ("zcrs",)),
        Experiment("table_iv", "Classification", "model", _ALL_MODELS, ("zic",)),
        Experiment("table_v", "Semantic localization", "model", _ALL_MODELS, ("selo",)),
        Experiment(
            "table_vi",
            "Component matching",
            "PCM",
            (_ablation("on", "pcm_on", "on"), _ablation("off", "paper_b16", "off")),
        ),
        Experiment(
            "table_vii",
            "One kind of text, or both",
            "trained on",
            (
                _ablation("short texts", "short_only", "CLIP LRS2M-S"),
                _ablation("long texts", "long_only", "CLIP LRS2M-L"),
                _ablation("both", "paper_b16", "LRSCLIP LRS2M"),
            ),
        ),
        Experiment(
            "table_viii",
            "The first sentence as the short text",
            "short text",
            (
                _ablation("first sentence", "first_sentence", "first sentence"),
                _ablation("short text", "paper_b16", "short text"),
            ),
        ),
        Experiment(
            "table_ix",
            "Where training starts",
            "start",
            (
                _ablation("Long-CLIP", "from_long_clip", "Long-CLIP", start="start_long"),
                _ablation("CLIP", "paper_b16", "CLIP"),
            ),
        ),
        Experiment(
            "figure_7",
            "Batch size",
            "pairs a step in the paper",
            (
                *(_ablation(str(total), f"batch_{total}", batch_size=total // 8) for total in (64, 128, 256)),
                _ablation("512", "paper_b16"),
            ),
        ),
        Experiment(
            "figure_8",
            "Number of pairs",
            "pairs in the paper",
            (
                *(_ablation(f"{n / 1000:g}M", f"pairs_{n}k", num_pairs=n) for n in (500, 1000, 1500)),
                _ablation("2M", "paper_b16", _MAIN),
            ),
        ),
        Experiment(
            "figure_9",
            "Size of the model",
            "model of the paper",
            (_size("B/32", "paper_b32"), _size("B/16", "paper_b16"), _size("L/14", "paper_l14")),
        ),
        Experiment(
            "figure_10",
            "Weight of the long and the short text in the loss",
            "long : short",
            tuple(
                _ablation("8:2", "paper_b16", _MAIN)
                if long == 8
                else _ablation(f"{long}:{10 - long}", f"weight_{long}_{10 - long}")
                for long in range(9, 0, -1)
            ),
        ),
    )
}
