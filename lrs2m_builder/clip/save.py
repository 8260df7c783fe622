"""Writes a CLIP in public formats: transformers and open_clip folders, and Long-CLIP's file."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import CLIPImageProcessor, CLIPProcessor, CLIPTokenizer
from transformers.utils.logging import disable_progress_bar

from lrs2m_builder.clip.architecture import open_clip_config
from lrs2m_builder.clip.locate import write_sums
from lrs2m_builder.clip.model import LONG_CONTEXT, Loaded
from lrs2m_builder.clip.names import State, to_open_clip
from lrs2m_builder.clip.preprocess import Preprocess
from lrs2m_builder.clip.towers import OpenClipTowers, write_towers
from lrs2m_builder.errors import UserError, not_among
from lrs2m_builder.files import finished_file, write_json
from lrs2m_builder.stores.outputs import check_new, finished_folder, one_writer
from lrs2m_builder.tokenizer import vocabulary

FORMATS = ("transformers", "open_clip", "longclip")


def save(loaded: Loaded, out_dir: Path, *, open_clip: bool = True) -> None:
    """Write a folder that transformers' `AutoModel` and `AutoProcessor` load, without remote code.

    Towers of open_clip, for which transformers has no class, are written for open_clip only.

    Args:
        out_dir: must be new or empty; it appears when it is complete.
        open_clip: also write open_clip's two files, so that `local-dir:OUT_DIR` loads there.

    Raises:
        UserError: the folder is in use or cannot be written.
    """
    if isinstance(loaded.model, OpenClipTowers):
        save_open_clip(loaded, out_dir)
        return
    disable_progress_bar()
    with finished_folder(out_dir, "convert") as part:
        loaded.model.save_pretrained(part)
        _make_processor(loaded.preprocess, loaded.context_length).save_pretrained(part)
        if open_clip:
            _write_open_clip(loaded, part)
        write_sums(part)


def save_open_clip(loaded: Loaded, out_dir: Path) -> None:
    """Write a folder with only open_clip's two files, for `local-dir:OUT_DIR`; raises as `save`."""
    with finished_folder(out_dir, "convert") as part:
        _write_open_clip(loaded, part)
        write_sums(part)


def save_longclip(loaded: Loaded, path: Path) -> None:
    """Write the `.pt` file that the public code of Long-CLIP, LRSCLIP and DGTRS-CLIP loads.

    Both of its position tables hold the whole table: that code reads from each the rows that it trains.

    Raises:
        UserError: the model does not have the 248 positions of that code, or the file exists.
    """
    check_destination(path, "longclip")
    _refuse_towers(loaded, "longclip")
    state = to_open_clip(_state(loaded))
    num_rows = state["positional_embedding"].shape[0]
    if num_rows != LONG_CONTEXT:
        raise UserError(f"Long-CLIP's format has {LONG_CONTEXT} positions, this model {num_rows}; stretch it first")
    state["positional_embedding_res"] = state["positional_embedding"].clone()
    with one_writer(path, "convert"):
        check_destination(path, "longclip")
        with finished_file(path) as part:
            torch.save(state, part)


def save_as(loaded: Loaded, out: Path, to: str) -> None:
    """Write in one of `FORMATS`: a folder, or a file for "longclip"; raises as the format's own function."""
    check_destination(out, to)
    if to == "transformers":
        _refuse_towers(loaded, to)
    writers = {"transformers": save, "open_clip": save_open_clip, "longclip": save_longclip}
    writers[to](loaded, out)


def check_destination(out: Path, to: str) -> None:
    """Check before any work that the format is known and the output does not exist.

    Raises:
        UserError: the format is unknown or the output exists.
    """
    if to not in FORMATS:
        raise UserError(f"no format {to!r} to write{not_among(to, FORMATS)}")
    check_new(out, is_file=to == "longclip")


def _refuse_towers(loaded: Loaded, to: str) -> None:
    if isinstance(loaded.model, OpenClipTowers):
        raise UserError(f"{loaded.name}: --to {to} holds a CLIP with a ViT, not these towers; give --to open_clip")


def _state(loaded: Loaded) -> State:
    return {name: tensor.detach().cpu() for name, tensor in loaded.model.state_dict().items()}


def _write_open_clip(loaded: Loaded, folder: Path) -> None:
    preprocess = loaded.preprocess
    images = {"mean": preprocess.mean, "std": preprocess.std, "interpolation": "bicubic"}
    images["resize_mode"] = "squash" if preprocess.squash else "shortest"
    if isinstance(loaded.model, OpenClipTowers):
        write_towers(loaded.model, images, loaded.tokenize, folder)
        return
    model, state = open_clip_config(loaded.model.config), to_open_clip(_state(loaded))
    if (bias := getattr(loaded.model.config, "logit_bias", None)) is not None:  # of a sigmoid loss
        model["init_logit_bias"] = bias
        state["logit_bias"] = torch.tensor(bias)
    write_json(folder / "open_clip_config.json", {"model_cfg": model, "preprocess_cfg": images})
    save_file(state, folder / "open_clip_model.safetensors", metadata={"format": "pt"})


def _make_processor(preprocess: Preprocess, context_length: int) -> CLIPProcessor:
    vocab, merges = vocabulary()
    side = preprocess.image_size
    images = CLIPImageProcessor(
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        image_mean=list(preprocess.mean),
        image_std=list(preprocess.std),
    )
    return CLIPProcessor(images, CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=context_length))
