"""A record as questions to a judge, and its verdicts as a row of scores with a row per claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import pyarrow as pa

from lrs2m_builder.dataset.scores.table import RowScores, text_sha256
from lrs2m_builder.verify.claims import MAX_CLAIMS, Claim
from lrs2m_builder.verify.judge import Verdict
from lrs2m_builder.verify.verdicts import TextVerdict, Thresholds, text_verdict, threshold_of

TextName = Literal["short", "long"]
_TYPES = {"int": pa.int32(), "float | None": pa.float32(), "str | None": pa.string()}
# Of a claim, beside what all scores of claims have.
CLAIM_COLUMNS = {
    "sentence": pa.int32(),
    "class": pa.string(),
    "number": pa.int32(),
    "place": pa.string(),
    "p_yes": pa.float32(),
    "p_no": pa.float32(),
    "mass": pa.float32(),
    "is_bound": pa.bool_(),
    "reason": pa.string(),
    "num_prompt_tokens": pa.int32(),
    "num_cached_tokens": pa.int32(),
}


def score_columns(texts: Sequence[TextName]) -> dict[str, pa.DataType]:
    """The columns of the table of scores: what a text's verdict has, for each text."""
    return {f"{text}_{field.name}": _TYPES[str(field.type)] for text in texts for field in fields(TextVerdict)}


@dataclass(frozen=True, slots=True)
class Question:
    """A record as a judge is asked.

    Attributes:
        image: the cell of the row.
        claims: of each text; at most `MAX_CLAIMS`.
        hashes: of each text.
        num_left_out: claims beyond that.
    """

    sample_id: str
    image: Any
    claims: Mapping[TextName, tuple[Claim, ...]]
    hashes: Mapping[TextName, str]
    num_left_out: int

    @property
    def statements(self) -> list[str]:
        """What is asked: each statement once, whichever texts make it."""
        return list(dict.fromkeys(claim.words for claims in self.claims.values() for claim in claims))


def question_of(row: Mapping[str, Any], found: Mapping[TextName, Sequence[Claim]]) -> Question:
    """The question that a row of a data set makes.

    Args:
        found: the claims of each text that is judged.
    """
    written = {text: row[f"caption_{text}"] or "" for text in found}
    return Question(
        sample_id=row["sample_id"],
        image=row.get("image"),
        claims={text: tuple(claims[:MAX_CLAIMS]) for text, claims in found.items()},
        hashes={text: text_sha256(caption) for text, caption in written.items()},
        num_left_out=sum(max(0, len(claims) - MAX_CLAIMS) for claims in found.values()),
    )


def row_scores(question: Question, verdicts: Mapping[str, Verdict], thresholds: Thresholds) -> RowScores:
    """What is written of a record.

    Args:
        verdicts: by statement.
    """
    scores: dict[str, Any] = {}
    rows = []
    for text, claims in question.claims.items():
        of_text = text_verdict(claims, [verdicts[claim.words] for claim in claims], thresholds)
        scores |= {f"{text}_{name}": value for name, value in asdict(of_text).items()}
        rows += [_claim_row(text, claim, verdicts[claim.words], thresholds) for claim in claims]
    hashes = question.hashes
    return RowScores(question.sample_id, hashes.get("short"), hashes.get("long"), scores, rows)


def _claim_row(text: TextName, claim: Claim, verdict: Verdict, thresholds: Thresholds) -> dict[str, Any]:
    score = verdict.score
    return {
        "column": f"caption_{text}",
        "start": claim.start,
        "end": claim.end,
        "kind": claim.kind,
        "words": claim.words,
        "score": score,
        "is_false": None if score is None else score < threshold_of(claim, thresholds),
        "sentence": claim.sentence,
        "class": claim.name or None,
        "number": claim.number,
        "place": claim.place or None,
        "p_yes": verdict.p_yes,
        "p_no": verdict.p_no,
        "mass": verdict.mass,
        "is_bound": verdict.is_bound,
        "reason": verdict.reason or None,
        "num_prompt_tokens": verdict.num_prompt_tokens,
        "num_cached_tokens": verdict.num_cached_tokens,
    }
