"""All settings of a training, validated; `named_configs.py` has their values by name."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from lrs2m_builder.errors import UserError, not_among

Layers = Annotated[int, Field(ge=0)] | Literal["all"]

# May change when a run resumes: none of them changes what is trained, except for rounding.
SPEED_ONLY = {
    *("checkpoint_every", "keep_checkpoints", "eval_every", "tensorboard", "wandb"),
    *("micro_batch", "gradient_checkpointing", "compile", "device", "workers", "cache_gb"),
}


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class TrainConfig:
    """All settings of a run except its data. docs/train.md shows the lines below as a table (`make docs`).

    Attributes:
        start: model to start from, as of `lrs2m convert`; `random` and `random_small` are models with random weights.
        context_length: maximum tokens per text; a start of 77 positions is stretched (KPS).
        train_on: texts to train on; `first_sentence` uses the first sentence of the long text as the short text.
        objective: InfoNCE, or the loss of SigLIP, whose bias is saved as `logit_bias` in `config.json` and in the
            weights for open_clip.
        long_weight: weight w of the long text in the loss; the short text has 1 - w.
        long_weight_end: w at the last step, reached linearly from `long_weight`; null keeps it constant.
        gather: gradient of the global batch, or of the published code, which treats the candidates as constants.
        pcm: component matching of the short texts, within the batch of each process or of all processes.
        pcm_k: number of leading principal directions that component matching keeps.
        label_smoothing: label smoothing of the softmax targets; Long-CLIP's code has 0.1.
        multi_positive: pairs with the same image or text are not negatives of each other; for data that repeat them.
        batch_size: pairs per process and step; a run that resumes with another number of processes keeps the pairs per
            step of all of them.
        micro_batch: pairs that go through the towers at once (GradCache), for large batches on one GPU; the loss is
            still that of the whole batch. null uses the batch.
        epochs: passes over the data; the run ends with `epochs` or `max_steps`, whichever comes first.
        max_steps: maximum number of steps; null has no limit.
        optimizer: how the weights are updated.
        lr: maximum learning rate.
        lr_image: learning rate of the image tower and its projection; null is `lr`.
        lr_text: learning rate of the text tower and its projection; null is `lr`.
        layer_decay: factor of the learning rate per layer below the top of a tower, such as 0.8; 1 trains all alike.
        locked_image: first layers of the image tower that stay as they are, with the patch embedding; `all` locks its
            last norm and projection too.
        locked_text: the same for the text tower, with the token and position embeddings.
        lora_image: rank of LoRA on the image tower, whose own weights then stay; merged into the saved model. 0 is off.
        lora_text: rank of LoRA on the text tower, likewise.
        lora_alpha: LoRA's alpha; the update has the factor alpha / rank. null is twice the rank.
        lora_dropout: dropout before LoRA's matrices.
        lora_on: `attention`: the four projections of attention; `all`: those of the MLP too.
        momentum: momentum of SGD.
        dampening: dampening of SGD.
        betas: betas of AdamW.
        weight_decay: weight decay of matrices; never of biases, gains, the logit scale and positional tables.
        clip_gradient: maximum norm of the gradient; null does not clip.
        schedule: learning rate after the warm-up: down to almost 0, or constant.
        warmup_steps: steps of the linear warm-up, at most a tenth of the run.
        frozen_positions: first rows of the text positions that stay bit-identical; KPS keeps 20, 0 trains all.
        max_logit_scale: maximum logit scale; CLIP has 100.
        ema: decay of a moving average of the weights, saved in their place; 0 saves the weights.
        wise_ft: WiSE-FT: the saved weights are start + wise_ft * (trained - start); 1 saves the trained ones.
        precision: precision of the forward pass.
        compile: compile both towers with torch.compile; texts are then padded to multiples of 32 tokens.
        gradient_checkpointing: recompute activations: less memory, a third slower.
        device: `auto`, `cpu` or `cuda`.
        weights: how often an epoch uses the rows of a subset, such as `{ucmerced: 2, det10: 0.5}`; 1 if not named.
        where: SQL condition on the columns and scores of the rows that are trained on; null uses all rows.
        best: share of the rows to train on, those with the largest `best_by`; rows without a value are left out.
        best_by: the score for `best`, such as `verify_long_min`, or an SQL expression on columns and scores.
        subset_cap: maximum number of rows of each subset, chosen by the seed.
        temperature: an epoch uses the subsets in proportion to (number of rows) ^ (1 / temperature); 1 changes nothing,
            more evens them out.
        num_pairs: number of pairs to train on, chosen by the seed; null uses all.
        workers: processes that decode images, for each process of the training; 1, 2 or 4 read the least.
        pool_rows: rows of a pool; for every 64 pairs per step, four pools are in memory, shared by all processes and
            workers. Data of more than eight pools are shuffled by fragments of row groups.
        cache_gb: size of the cache for row groups of streamed data (s3://, hf://), in TMPDIR of each machine.
        length_multiple: texts are padded to a multiple of this number of tokens; 1 pads to the longest of the batch.
        image_dir: folder of the images, if the rows contain only their names.
        augment_captions: probability that a long text is read without its opening sentence, with any number of the
            others in any order (DeBias-CLIP).
        augment_images: augmentations of the images, such as `[crop,color]`: `crop` (at least half of the area), `flip`,
            `turn` (by quarters) and `color`.
        seed: seed of the data order and of a random start.
        checkpoint_every: steps between checkpoints.
        keep_checkpoints: number of checkpoints to keep.
        eval_every: steps between measurements on `--eval-data`; the last step has one too.
        keep_best: figure on `--eval-data`, such as `long_mr` or `eurosat_accuracy`: the model of the step where it was
            highest is saved; null saves the last.
        tensorboard: also write event files for `tensorboard --logdir RUN`.
        wandb: also log to Weights & Biases; without a network, set WANDB_MODE=offline.
    """

    start: str = "openai/clip-vit-base-patch16"
    context_length: int = Field(default=248, ge=4)
    train_on: Literal["both", "short", "long", "first_sentence"] = "both"

    objective: Literal["softmax", "sigmoid"] = "softmax"
    long_weight: float = Field(default=0.8, ge=0, le=1)
    long_weight_end: float | None = Field(default=None, ge=0, le=1)
    gather: Literal["exact", "anchor_only"] = "exact"
    pcm: Literal["off", "local", "global"] = "off"
    pcm_k: int = Field(default=32, ge=1)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    multi_positive: bool = False

    batch_size: int = Field(default=64, ge=2)
    micro_batch: int | None = Field(default=None, ge=1)
    epochs: int = Field(default=1, ge=1)
    max_steps: int | None = Field(default=None, ge=1)

    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float = Field(default=3e-4, gt=0)
    lr_image: float | None = Field(default=None, gt=0)
    lr_text: float | None = Field(default=None, gt=0)
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    locked_image: Layers = 0
    locked_text: Layers = 0
    lora_image: int = Field(default=0, ge=0)
    lora_text: int = Field(default=0, ge=0)
    lora_alpha: float | None = Field(default=None, gt=0)
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    lora_on: Literal["attention", "all"] = "all"
    momentum: float = Field(default=0.9, ge=0, lt=1)
    dampening: float = Field(default=0.1, ge=0, lt=1)
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = Field(default=0.0, ge=0)
    clip_gradient: float | None = Field(default=None, gt=0)
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_steps: int = Field(default=200, ge=0)
    frozen_positions: int = Field(default=20, ge=0)
    max_logit_scale: float = Field(default=100.0, gt=1)
    ema: float = Field(default=0.0, ge=0, lt=1)
    wise_ft: float = Field(default=1.0, ge=0, le=1)

    precision: Literal["bf16", "fp16", "fp32"] = "bf16"
    compile: bool = False
    gradient_checkpointing: bool = False
    device: str = "auto"

    weights: dict[str, float] = Field(default_factory=dict)
    where: str | None = None
    best: float | None = Field(default=None, gt=0, le=1)
    best_by: str | None = None
    subset_cap: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=1)
    num_pairs: int | None = Field(default=None, ge=2)
    workers: int = Field(default=4, ge=0)
    pool_rows: int = Field(default=4096, ge=1)
    cache_gb: float = Field(default=20.0, gt=0)
    length_multiple: int = Field(default=1, ge=1)
    image_dir: str | None = None
    augment_captions: float = Field(default=0.0, ge=0, le=1)
    augment_images: tuple[Literal["crop", "flip", "turn", "color"], ...] = ()
    seed: int = Field(default=0, ge=0)

    checkpoint_every: int = Field(default=500, ge=1)
    keep_checkpoints: int = Field(default=2, ge=1)
    eval_every: int = Field(default=500, ge=1)
    keep_best: str | None = None
    tensorboard: bool = False
    wandb: bool = False

    @model_validator(mode="after")
    def _fit_together(self) -> TrainConfig:
        if self.micro_batch is not None and self.batch_size % self.micro_batch:
            raise ValueError(f"micro_batch {self.micro_batch} does not divide batch_size {self.batch_size}")
        if self.pcm == "local" and self.pcm_k >= self.batch_size - 1:
            raise ValueError(
                f"pcm_k {self.pcm_k} keeps all directions of a batch of {self.batch_size}; use a larger batch_size"
            )
        if self.pcm != "off" and self.train_on == "long":
            raise ValueError("pcm needs the short text, which train_on=long does not use")
        if self.objective == "sigmoid" and self.label_smoothing:
            raise ValueError("label_smoothing needs the softmax objective")
        if self.keep_best is not None and self.ema:
            raise ValueError("keep_best measures the weights of single steps, ema saves their average: use one of them")
        if (self.best is None) != (self.best_by is None):
            raise ValueError("best and best_by go together: the share, and the score (--best 0.3 --by verify_long_min)")
        self._check_trained()
        return self

    def _check_trained(self) -> None:
        """Check that something is trained, and that nothing is both locked and trained."""
        for tower, locked, rank, lr in (
            ("image", self.locked_image, self.lora_image, self.lr_image),
            ("text", self.locked_text, self.lora_text, self.lr_text),
        ):
            if locked == "all" and (rank or lr is not None):
                other = f"lora_{tower}" if rank else f"lr_{tower}"
                raise ValueError(f"locked_{tower}=all leaves nothing of the tower to train, but {other} is set")
        if self.locked_image == self.locked_text == "all":
            raise ValueError("locked_image=all and locked_text=all leave nothing to train")
        if not (self.lora_image or self.lora_text) and (self.lora_alpha is not None or self.lora_dropout):
            raise ValueError("lora_alpha and lora_dropout need a rank: set lora_image or lora_text")


def changed(config: TrainConfig, changes: Mapping[str, Any]) -> TrainConfig:
    """The configuration with some fields changed, validated.

    Raises:
        UserError: an unknown key, or an invalid value.
    """
    names = {field.name for field in dataclasses.fields(config)}
    if unknown := sorted(changes.keys() - names):
        raise UserError(f"no setting {unknown[0]!r}{not_among(unknown[0], sorted(names))}")
    try:
        return TrainConfig(**{**dataclasses.asdict(config), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) + ": " if first["loc"] else ""
        raise UserError(f"invalid settings: {where}{first['msg'].removeprefix('Value error, ')}") from error


def with_batch_size(config: TrainConfig, batch_size: int) -> TrainConfig:
    """The configuration for another number of processes; micro_batch becomes the largest that divides both."""
    if batch_size == config.batch_size:
        return config
    micro_batch = config.micro_batch and math.gcd(config.micro_batch, batch_size)
    return changed(config, {"batch_size": batch_size, "micro_batch": micro_batch})
