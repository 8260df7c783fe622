"""How the shipped captioner judges its own texts of scenes it has not seen, without an engine and without checks.

It writes a text of each scene with the captions as the hint and one without, sampled as in the recipes, and judges the
claims of each as `lrs2m verify` reads them. Printed are by kind the wrong claims per text, the AUROC, and the share of
the wrong claims that is found if 1, 2, 5 or 10 % of the right ones are lost; then wrong and right claims per text
before and after `--verify cut` at the judge's own thresholds (the alternatives: no cut, and whole sentences cut).

    python benchmarks/own_texts.py [--scenes 400] [--model DIR] [--texts FILE]
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np
from _truth import Score
from judge import Judge

from captioner_training.claim_words import Claim
from captioner_training.own_claims import AS_RECIPES
from captioner_training.own_texts import own_texts
from captioner_training.said import decided
from captioner_training.scenes import Scenes, draw
from lrs2m_builder.exchange import JudgedClaim
from lrs2m_builder.sample import CAPTIONER
from lrs2m_builder.sample.drawing.scene import Scene, draw_scene
from lrs2m_builder.verify import decide
from lrs2m_builder.verify.calibration import auroc
from lrs2m_builder.verify.claims import claims_of
from lrs2m_builder.verify.verdicts import thresholds_for

SEED = 6000  # training draws seeds 1000 and 4000, its calibration 3000
LOST = (0.01, 0.02, 0.05, 0.1)
Judged = dict[int, list[JudgedClaim]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=400)
    parser.add_argument("--model", type=Path, default=CAPTIONER)
    parser.add_argument("--texts", type=Path, default=Path("build/own_texts.jsonl"), help="kept here, and used again")
    options = parser.parse_args()
    scenes = [draw_scene(SEED, number) for number in range(options.scenes)]
    judge, thresholds = Judge(options.model, scenes), thresholds_for(str(options.model), {})
    print("thresholds:", ", ".join(f"{kind} {value:.3f}" for kind, value in thresholds.items()))
    for hinted, texts in written(judge, options.scenes, options.texts).items():
        asked = [(number, Claim(each.words, True, each.kind)) for number in texts for each in claims_of(texts[number])]
        judged: Judged = {number: [] for number in texts}
        for answer in judge.ask(asked):
            judged[answer.scene].append(JudgedClaim(answer.claim.words, float(1 / (1 + np.exp(-answer.logit)))))
        print("with the hint" if hinted else "without a hint", f"({len(texts)} texts)")
        print_kinds(texts, judged, scenes)
        after = {n: decide.without_false(text, judged[n], thresholds)[0] for n, text in texts.items()}
        with patch.object(decide, "_small_part", lambda *_: None):
            coarse = {n: decide.without_false(text, judged[n], thresholds)[0] for n, text in texts.items()}
        for name, each in (("as written", texts), ("cut", after), ("whole sentences cut", coarse)):
            print(f"    {name}: {figures(each, scenes)}", flush=True)


def written(judge: Judge, num_scenes: int, path: Path) -> dict[bool, dict[int, str]]:
    """A text of each scene without and with a hint."""
    if not path.exists():
        folder = path.with_suffix("")
        draw(folder, num_scenes, SEED)
        scenes = Scenes(folder, num_views=1)
        with path.open("w") as file:
            for hinted in (0.0, 1.0):
                found = own_texts(judge.trainee, judge.tokenizer, scenes, range(num_scenes), AS_RECIPES, hinted)
                file.writelines(json.dumps((hinted, *each)) + "\n" for each in found)
    rows = map(json.loads, path.read_text().splitlines())
    texts: dict[bool, dict[int, str]] = defaultdict(dict)
    for hinted, number, text in rows:
        texts[bool(hinted)][number] = text
    return texts


def print_kinds(texts: dict[int, str], judged: Judged, scenes: Sequence[Scene]) -> None:
    """How well the claims are told apart whose truth the scene decides."""
    found = defaultdict[str, list[tuple[bool, float]]](list)
    for number, text in texts.items():
        p_of = {each.words: each.p for each in judged[number]}
        for claim in claims_of(text):
            if known := decided(claim.words, claim.kind, scenes[number]):
                found[claim.kind].append((known.is_true, p_of[claim.words] or 0.0))
    for kind, claims in found.items():
        truth, p = np.array([true for true, _ in claims], bool), np.array([p for _, p in claims])
        shares = (f"{(p[~truth] < np.quantile(p[truth], lost)).mean():.3f} at {lost:.0%}" for lost in LOST)
        print(
            f"    {kind}: {len(claims)} claims, {(~truth).sum() / len(texts):.3f} wrong per text, AUROC "
            f"{auroc(p, truth):.3f}; found {', '.join(shares)}"
        )


def figures(texts: dict[int, str], scenes: Sequence[Scene]) -> str:
    """Wrong and right claims per text."""
    score = Score()
    for number, text in texts.items():
        score.add(text, scenes[number])
    wrong = score.invented, score.counts[False], score.readings[False]
    right = score.found + score.counts[True] + score.readings[True]
    classes, numbers, places = (each / score.texts for each in wrong)
    return (
        f"{classes + numbers + places:.3f} wrong claims per text ({classes:.3f} classes, {numbers:.3f} numbers, "
        f"{places:.3f} places), {right / score.texts:.2f} right ones; class F1 {score.f1:.3f}"
    )


if __name__ == "__main__":
    main()
