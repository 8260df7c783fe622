"""Rows with the texts that a person corrected in `lrs2m view`, and what says so: source, tokens, warnings, claims."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from lrs2m_builder.dataset.audit.consistency import find_problems
from lrs2m_builder.dataset.reviews import PERSON, Reviews, corrected_texts
from lrs2m_builder.schema import CaptionColumn
from lrs2m_builder.tokenizer import count_tokens

_NEEDS = ("sample_id", "caption_short", "caption_long")
# Columns that a correction changes, where a data set has them.
_CHANGED = (
    *("caption_short", "caption_long", "short_source", "long_source"),
    *("num_tokens_short", "num_tokens_long", "warnings", "claims"),
)


def corrected_row(row: Mapping[str, Any], reviews: Reviews) -> dict[str, Any] | None:
    """A stored row with its corrected texts; None if none of its texts is corrected."""
    corrections = corrected_texts(reviews, row)
    if not corrections:
        return None
    changed = dict(row)
    for column, correction in corrections.items():
        text = column.removeprefix("caption_")
        changed |= {column: correction.after, f"{text}_source": PERSON}
        changed[f"num_tokens_{text}"] = count_tokens(correction.after)
    latest = max(corrections.values(), key=lambda correction: correction.time)
    changed["warnings"] = list(latest.warnings)
    claims = row.get("claims")
    changed["claims"] = claims and [claim for claim in claims if claim["column"] not in corrections]
    return changed


def warnings_of(row: Mapping[str, Any], texts: Mapping[CaptionColumn, str]) -> list[str]:
    """What the checks find in a row with other texts, as in "hedge: ...".

    Args:
        texts: by caption column.
    """
    tokens = {name.replace("caption", "num_tokens"): None for name in texts}
    found = find_problems({**row, **tokens, **dict(texts.items())})
    return list(dict.fromkeys(f"{check}: {problem}" for _, check, problem in found))


def correct_batch(batch: pa.RecordBatch, reviews: Reviews) -> pa.RecordBatch:
    """The rows of a batch, with the corrected texts of those that have some."""
    if not any(map(reviews.has_correction, batch["sample_id"].to_pylist())):
        return batch
    names = [name for name in batch.schema.names if name in {*_NEEDS, *_CHANGED}]
    rows = [corrected_row(row, reviews) or row for row in batch.select(names).to_pylist()]
    for name in set(names) - {"sample_id"}:
        at = batch.schema.get_field_index(name)
        field = batch.schema.field(at)
        batch = batch.set_column(at, field, pa.array([row[name] for row in rows], field.type))
    return batch
