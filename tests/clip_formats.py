"""Two CLIPs held against each other, and the files that they come in."""

from __future__ import annotations

from pathlib import Path

import open_clip
import pytest
import torch

from lrs2m_builder.clip.model import Loaded, encode_image, encode_text

TEXTS = ["a plane on a runway", "many green trees stand beside a wide road " * 5, ""]
State = dict[str, torch.Tensor]


def write(state: State, path: Path) -> str:
    torch.save(state, path)
    return str(path)


def agree(loaded: Loaded, theirs: open_clip.CLIP, pixels: torch.Tensor, atol: float = 1e-5) -> None:
    ids = loaded.tokenize(TEXTS)
    with torch.no_grad():
        text, image = theirs.encode_text(ids, normalize=True), theirs.encode_image(pixels, normalize=True)
        torch.testing.assert_close(encode_text(loaded.model, ids), text, rtol=0, atol=atol)
        torch.testing.assert_close(encode_image(loaded.model, pixels), image, rtol=0, atol=atol)
    assert loaded.model.logit_scale.item() == pytest.approx(theirs.logit_scale.item(), abs=1e-3)


def same_weights(one: Loaded, other: Loaded) -> bool:
    a, b = one.model.state_dict(), other.model.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def custom_text(state: State) -> dict[str, object]:
    image = ("visual.", "logit_scale")
    return {name if name.startswith(image) else f"text.{name}": tensor for name, tensor in state.items()}
