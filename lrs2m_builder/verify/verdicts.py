"""What the verdicts on the claims of a text come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lrs2m_builder.errors import UserError, not_among
from lrs2m_builder.files import read_json
from lrs2m_builder.verify.claims import KINDS, Claim
from lrs2m_builder.verify.judge import Verdict

DEFAULT_THRESHOLD = 0.5
CALIBRATION = "calibration.json"

Thresholds = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class TextVerdict:
    """The verdict on a text.

    Attributes:
        num_false: claims below the threshold of their kind.
        num_unanswered: claims that the judge did not answer; the other numbers leave them out.
        min, mean: of the claims' scores; the smallest finds a single error, the mean says how much is true.
        worst: the claim with the smallest score.
        reason: why there are no scores, or why some claims are without.
    """

    num_claims: int = 0
    num_false: int = 0
    num_unanswered: int = 0
    min: float | None = None
    mean: float | None = None
    worst: str | None = None
    reason: str | None = None


def text_verdict(claims: Sequence[Claim], verdicts: Sequence[Verdict], thresholds: Thresholds) -> TextVerdict:
    """Sum up the verdicts on the claims of one text, in the same order."""
    if not claims:
        return TextVerdict(reason="no_claims")
    scored = [
        (verdict.score, claim) for claim, verdict in zip(claims, verdicts, strict=True) if verdict.score is not None
    ]
    reasons = Counter(verdict.reason for verdict in verdicts if verdict.score is None)
    reason = reasons.most_common(1)[0][0] if reasons else None
    if not scored:
        return TextVerdict(len(claims), num_unanswered=len(claims), reason=reason)
    smallest, worst = min(scored, key=lambda pair: pair[0])
    return TextVerdict(
        num_claims=len(claims),
        num_false=sum(score < threshold_of(claim, thresholds) for score, claim in scored),
        num_unanswered=len(claims) - len(scored),
        min=smallest,
        mean=sum(score for score, _ in scored) / len(scored),
        worst=worst.words,
        reason=reason,
    )


def threshold_of(claim: Claim, thresholds: Thresholds) -> float:
    """The score below which a claim counts as false."""
    return thresholds.get(claim.kind, DEFAULT_THRESHOLD)


def thresholds_for(judge: str, given: Thresholds) -> dict[str, float]:
    """The threshold of each kind of claim: the given ones, else those measured for the judge, else DEFAULT_THRESHOLD.

    Args:
        judge: name of the model; a folder may hold a calibration.json beside its weights.

    Raises:
        UserError: that file is no calibration.
    """
    measured = Path(judge) / CALIBRATION
    if not given and measured.is_file():
        return read_thresholds(measured)
    return {kind: given.get(kind, DEFAULT_THRESHOLD) for kind in KINDS}


def parse_thresholds(pairs: Iterable[str], flag: str = "--threshold") -> dict[str, float]:
    """Turn `KIND=P` settings into a mapping; "all" sets every kind that is not named.

    A path of a calibration.json sets all: those that it has chosen, and 0 for kinds that it has not measured, so that
    no claim of these is false.

    Args:
        flag: the option that they were given by.

    Raises:
        UserError: not of that form, or no such kind of claim.
    """
    given: dict[str, float] = {}
    for pair in pairs:
        if pair.endswith(".json"):
            given |= read_thresholds(Path(pair))
            continue
        kind, _, value = pair.partition("=")
        if kind not in {*KINDS, "all"}:
            raise UserError(f"{flag} {pair}: no kind of claim {kind!r}{not_among(kind, [*KINDS, 'all'])}")
        try:
            given[kind] = float(value)
        except ValueError:
            given[kind] = -1.0
        if not 0 <= given[kind] <= 1:
            raise UserError(f"{flag} {pair}: write KIND=P with a probability from 0 to 1, such as count=0.3")
    default = given.pop("all", DEFAULT_THRESHOLD)
    return {kind: given.get(kind, default) for kind in KINDS}


def read_thresholds(path: Path) -> dict[str, float]:
    """The thresholds by kind of claim that a calibration has chosen; 0 for kinds that it has not measured.

    Raises:
        UserError: it is no calibration.
    """
    kinds = read_json(path).get("kinds")
    try:
        thresholds = {str(kind): float(one["threshold"]) for kind, one in dict(kinds or {}).items()}
    except (TypeError, ValueError, KeyError) as error:
        raise UserError(f"{path}: not a calibration; make one with lrs2m verify --calibrate") from error
    if not thresholds or not all(0 <= value <= 1 for value in thresholds.values()):
        raise UserError(f"{path}: not a calibration; make one with lrs2m verify --calibrate")
    return {kind: thresholds.get(kind, 0.0) for kind in KINDS}
