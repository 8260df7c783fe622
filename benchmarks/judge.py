"""Whether the shipped demo captioner tells true claims from false ones, on scenes it was not trained on.

Claims of every kind, as many true as false, are made from the truth of the scenes (`captioner_training/claims.py`):
absent classes are ones that go with those of the scene, wrong numbers are one to three off, wrong places are the next
ones. AUROC 0.5 is a guess; ECE is the calibration error, in brackets after Platt's calibration on the scenes of even
number for those of odd number; mass is the least that "yes" and "no" have together.

Then one error is planted in each long text, in the sample world's words and in the captioner's, and the text is read
for claims as `lrs2m verify` reads it. An error is found if one of the claims that it changed is below the threshold of
its kind: that which 5 % of the true claims of other scenes do not reach.

    python benchmarks/judge.py [--scenes 500] [--claims 2000] [--model DIR]
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast, Qwen2VLForConditionalGeneration

from captioner_training.claim_loss import answer_logits
from captioner_training.claim_words import Claim
from captioner_training.claims import ClaimMaker
from captioner_training.judging import ANSWERS, ClaimLayout
from captioner_training.model import Trainee, autocast
from captioner_training.scenes import shrunk
from captioner_training.sentences import change, false_sentences, split_sentences
from captioner_training.texts import plain_long
from lrs2m_builder.sample import CAPTIONER
from lrs2m_builder.sample.drawing.scene import Scene, draw_scene
from lrs2m_builder.sample.texts import write_texts
from lrs2m_builder.verify.claims import Claim as TextClaim
from lrs2m_builder.verify.claims import claims_of

SEED = 2000  # training draws seeds 1000 and 4000
KINDS = {
    "object": ("object",),
    "denial": ("denial",),
    "count": ("count",),
    "place": ("some in a cell", "so many in a cell", "all in a cell"),
    "half": ("some in a half", "so many in a half", "all in a half"),
    "color": ("color",),
    "relation": ("relation",),
    "sentence": ("sentence",),
}
MOST_COUNTED = 8  # of more nobody asks for the number
ROWS = 16
LOST = 0.05  # of the true claims that may be called false
PLANTED = ("object", "place", "number")
TRIES = 60  # to plant an error
OTHER_SEED, NUM_OTHERS = 3000, 200  # of the scenes by which thresholds are chosen


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said: the log-odds of "yes", and how probable one of the two words was."""

    scene: int
    claim: Claim
    logit: float
    mass: float


def main() -> None:
    """Ask and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--claims", type=int, default=2000)
    parser.add_argument("--model", type=Path, default=CAPTIONER)
    options = parser.parse_args()
    scenes = [draw_scene(SEED, index) for index in range(options.scenes)]
    others = [draw_scene(OTHER_SEED, index) for index in range(NUM_OTHERS)]
    judge = Judge(options.model, [*scenes, *others])
    maker = ClaimMaker(scenes)
    for kind, ways in KINDS.items():
        _print_kind(kind, judge.ask(_claims(maker, scenes, ways, options.claims)))
    for register in ("sample world's", "captioner's"):
        _print_planted(register, judge, maker, scenes, others)


class Judge:
    """The model with the images of the scenes."""

    def __init__(self, folder: Path, scenes: Sequence[Scene]) -> None:
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        model = Qwen2VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        self.trainee = Trainee(model).eval()
        self._layout = ClaimLayout(self.tokenizer)
        pixels = torch.from_numpy(np.stack([np.asarray(shrunk(scene.image)) for scene in scenes]))
        with torch.inference_mode(), autocast():
            self._images = torch.cat([self.trainee.image_tokens(part).float() for part in pixels.split(ROWS)])

    @torch.inference_mode()
    def ask(self, claims: Iterable[tuple[int, Claim]]) -> list[Answer]:
        """Its answers to claims about scenes, many of an image at once."""
        of_scene: dict[int, list[Claim]] = defaultdict(list)
        for number, claim in claims:
            of_scene[number].append(claim)
        rows = [(number, part) for number, found in of_scene.items() for part in self._layout.split(found)]
        ids = torch.tensor(self.tokenizer.convert_tokens_to_ids(list(ANSWERS.values())))
        answers = []
        for first in range(0, len(rows), ROWS):
            chosen = rows[first : first + ROWS]
            batch = self._layout.batch([(part, self._images[number]) for number, part in chosen])
            with autocast():
                logits = answer_logits(self.trainee, batch)
            said = logits[torch.isin(batch.answer[batch.answer >= 0], ids)].float().log_softmax(-1)[:, ids]
            asked = [(number, claim) for number, part in chosen for claim in part]
            for (number, claim), (yes, no) in zip(asked, said.tolist(), strict=True):
                answers.append(Answer(number, claim, yes - no, float(np.exp(yes) + np.exp(no))))
        return answers


def _claims(
    maker: ClaimMaker, scenes: Sequence[Scene], ways: Sequence[str], wanted: int
) -> Iterable[tuple[int, Claim]]:
    """Claims of a kind, half of them true, each about the next scene."""
    random = np.random.default_rng(5)
    for true in (True, False):
        found = tries = 0
        while found < wanted // 2 and tries < 100 * wanted:
            number, way = tries % len(scenes), ways[tries % len(ways)]
            tries += 1
            claim = maker.ways[way](scenes[number], true, random)
            if claim and not (claim.kind == "count" and (claim.number or 0) > MOST_COUNTED):
                found += 1
                yield number, claim


def _print_kind(kind: str, answers: Sequence[Answer]) -> None:
    logits = np.array([answer.logit for answer in answers])
    true = np.array([answer.claim.is_true for answer in answers])
    odd = np.array([answer.scene % 2 == 1 for answer in answers])
    slope, bias = fit(logits[~odd], true[~odd])
    raw, calibrated = error(logits[odd], true[odd]), error(slope * logits[odd] + bias, true[odd])
    parts = ""
    if kind == "count":
        off = np.array([answer.claim.off for answer in answers])
        found = (f"{auroc(logits[true], logits[~true & (off == n)]):.3f} at {n}" for n in (1, 2, 3))
        parts = f" ({', '.join(found)} off)"
    print(
        f"{kind}: {len(answers)} claims, AUROC {auroc(logits[true], logits[~true]):.3f}{parts}; right "
        f"{float(((logits > 0) == true).mean()):.3f}; ECE {raw:.3f} ({calibrated:.3f}); "
        f"mass {min(answer.mass for answer in answers):.4f}",
        flush=True,
    )


def _print_planted(
    register: str, judge: Judge, maker: ClaimMaker, scenes: Sequence[Scene], others: Sequence[Scene]
) -> None:
    """How many planted errors the claims of a text tell, and how many true claims are called false."""
    random = np.random.default_rng(6)
    own = [claims_of(_text(scene, register)) for scene in scenes]
    true = _scores(judge, own)
    elsewhere = _scores(judge, [*([()] * len(scenes)), *(claims_of(_text(scene, register)) for scene in others)])
    thresholds = {
        kind: np.quantile([p for p, claim, _ in elsewhere if claim.kind == kind], LOST)
        for kind in {claim.kind for _, claim, _ in elsewhere}
    }
    refused = [p < thresholds[claim.kind] for p, claim, _ in true]
    parts = []
    for planted in PLANTED:
        changed, offs = list[list[TextClaim]](), list[int]()
        for scene, claims in zip(scenes, own, strict=True):
            known = {claim.words for claim in claims}
            tries = filter(None, (_plant(scene, maker, planted, register, random) for _ in range(TRIES)))
            new = (([claim for claim in claims_of(text) if claim.words not in known], off) for text, off in tries)
            claims_found, off = next((each for each in new if each[0]), ([], 0))
            changed.append(claims_found)
            offs.append(off)
        found = {number: False for number, claims_found in enumerate(changed) if claims_found}
        for p, claim, number in _scores(judge, changed):
            found[number] |= bool(p < thresholds[claim.kind])
        by_off = (
            np.mean([value for number, value in found.items() if offs[number] == off] or [False]) for off in (1, 2, 3)
        )
        more = f" ({', '.join(f'{share:.3f}' for share in by_off)} where 1, 2 and 3 off)" if planted == "number" else ""
        parts.append(f"{planted} {np.mean(list(found.values())):.3f} of {len(found)}{more}")
    print(
        f"planted errors in the {register} words found: {', '.join(parts)}; true claims called false "
        f"{np.mean(refused):.3f} of {len(refused)}; thresholds "
        + ", ".join(f"{kind} {1 / (1 + np.exp(-value)):.3f}" for kind, value in sorted(thresholds.items())),
        flush=True,
    )


def _scores(judge: Judge, texts: Sequence[Sequence[TextClaim]]) -> list[tuple[float, TextClaim, int]]:
    """The log-odds of each claim of each text, with the text's number."""
    asked = [(number, claim) for number, claims in enumerate(texts) for claim in claims]
    answers = judge.ask((number, Claim(claim.words, True, claim.kind)) for number, claim in asked)
    said = {(answer.scene, answer.claim.words): answer.logit for answer in answers}
    return [(said[number, claim.words], claim, number) for number, claim in asked]


def _text(scene: Scene, register: str) -> str:
    return plain_long(scene) if register == "captioner's" else write_texts(scene).long


def _plant(
    scene: Scene, maker: ClaimMaker, kind: str, register: str, random: np.random.Generator
) -> tuple[str, int] | None:
    """The long text with one sentence as it would be if one class were otherwise, and how far a number is off."""
    changed = change(scene, kind, maker.absent(scene, random), random)
    if changed is None:
        return None
    other, name = changed
    false = false_sentences(scene, other, name, "plain" if register == "captioner's" else "long")
    own, whole = split_sentences(_text(scene, register)), split_sentences(_text(other, register))
    if not false or whole.index(false[0]) >= len(own):
        return None
    own[whole.index(false[0])] = false[0]
    return " ".join(own), abs(other.counts[name] - scene.counts.get(name, 0))


def auroc(true: NDArray[np.float64], false: NDArray[np.float64]) -> float:
    """How often a true one has more than a false one; ties count half."""
    if not len(true) or not len(false):
        return float("nan")
    below = np.sort(false)
    ranks = np.searchsorted(below, true, "left") + np.searchsorted(below, true, "right")
    return float(ranks.mean() / 2 / len(false))


def fit(logits: NDArray[np.float64], true: NDArray[np.bool_]) -> tuple[float, float]:
    """Platt's slope and bias, by Newton's method."""
    x, weights = np.stack([logits, np.ones_like(logits)]), np.array([1.0, 0.0])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(weights @ x, -30, 30)))
        curve = (x * np.maximum(p * (1 - p), 1e-9)) @ x.T + 1e-6 * np.eye(2)
        weights = weights - np.linalg.solve(curve, x @ (p - true) + 1e-6 * weights)
    return float(weights[0]), float(weights[1])


def error(logits: NDArray[np.float64], true: NDArray[np.bool_], num_bins: int = 10) -> float:
    """The expected calibration error: how far what is said is from how often it is true, in bins of equal width."""
    p = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
    bins = np.minimum((num_bins * p).astype(int), num_bins - 1)
    parts = [abs(p[bins == n].sum() - true[bins == n].sum()) for n in range(num_bins)]
    return float(sum(parts) / len(p))


if __name__ == "__main__":
    main()
