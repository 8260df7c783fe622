"""FG-CLIP's two text towers in one file: 77 positions for short texts, 248 and another projection for long ones.

The long one has two position tables as Long-CLIP's (the first 20 rows of one, the others of the second).
"""

from __future__ import annotations

import torch

from lrs2m_builder.clip.kps import KEPT_ROWS
from lrs2m_builder.clip.names import State

_EMBEDDINGS = "text_model.embeddings.position_embedding"
MARK = f"{_EMBEDDINGS}_res.weight"
_SHORT, _FIRST = f"{_EMBEDDINGS}.weight", f"{_EMBEDDINGS}_ori.weight"
_LONG_PROJECTION, _PROJECTION = "text_filip_projection.weight", "text_projection.weight"
# Only of its training on regions and hard negatives.
_DROPPED = {MARK, _FIRST, _LONG_PROJECTION, "logit_scale_finegraind", "logit_scale_hardneg"}


def one_tower(raw: State, context_length: int | None) -> State:
    """The weights of a CLIPModel: the tower for long texts, or for short ones if the context is theirs or less."""
    state = {name: tensor for name, tensor in raw.items() if name not in _DROPPED}
    is_short = context_length is not None and _SHORT in raw and context_length <= len(raw[_SHORT])
    if not is_short and _FIRST in raw and _LONG_PROJECTION in raw:
        state[_SHORT] = torch.cat([raw[_FIRST][:KEPT_ROWS], raw[MARK][KEPT_ROWS:]])
        state[_PROJECTION] = raw[_LONG_PROJECTION]
    return state
