"""Train the model of talk and measure it.

Five times, four fifths of the labelled cases are learned and the last fifth is judged; near copies are never on both
sides, and phrases that are near copies of a case are in its fold. The threshold of a check is where the smaller one of
precision and recall on the held-out cases is highest; that of a fold, for the figures, is chosen on the other folds.
The weights are then fitted on all cases.

    python -m talk_training [--measure] [--misses]    with LRS2M_REAL_DATA naming the folder of published captions
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lrs2m_builder.checks.talk import NAMES, WEIGHTS
from lrs2m_builder.checks.talk.model import shipped_model
from talk_training.fit import Sentences, fit, read_sentences, score_texts
from talk_training.folds import NUM_FOLDS, fold_of_each
from talk_training.texts import NUM_HELD_OUT, Text, read_captions, read_cases, read_phrases

NUM_CAPTIONS = 10_000  # published captions that are learned


def precision_recall(found: NDArray[np.bool_], bad: NDArray[np.bool_]) -> tuple[float, float]:
    """Precision and recall of the texts that were found."""
    hits = int((found & bad).sum())
    return hits / max(1, int(found.sum())), hits / max(1, int(bad.sum()))


def best_threshold(scores: NDArray[np.float32], bad: NDArray[np.bool_]) -> float:
    """The threshold with the highest smaller one of precision and recall."""
    return float(max(np.linspace(-2, 1, 61), key=lambda value: min(precision_recall(scores > value, bad))))


def held_out_findings(
    scores: NDArray[np.float32], bad: NDArray[np.bool_], folds: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which cases are found, each with the threshold that suits the cases of the other folds."""
    found = np.zeros(len(bad), bool)
    for fold in range(NUM_FOLDS):
        others = folds != fold
        found[~others] = scores[~others] > best_threshold(scores[others], bad[others])
    return found


def held_out_scores(
    check: str, texts: list[Text], sentences: Sentences, folds: NDArray[np.int64]
) -> NDArray[np.float32]:
    """What each case scores in a model that has not seen it."""
    scores = np.full(len(texts), -np.inf, np.float32)
    held_out = np.array([text.origin == "held out" for text in texts])
    for fold in range(NUM_FOLDS):
        weights, bias = fit(check, texts, sentences, (folds != fold) & ~held_out)
        scores[folds == fold] = score_texts(check, sentences, weights, bias, len(texts))[folds == fold]
    return scores


def train(measure_only: bool, show: bool) -> None:
    """Print the figures of each check; write the weights too."""
    captions = read_captions()
    learned = captions[NUM_HELD_OUT : NUM_HELD_OUT + NUM_CAPTIONS]
    texts = read_cases() + read_phrases(learned)
    num_labelled = len(texts)
    folds = np.array(fold_of_each([text.text for text in texts]) + [-1] * (len(learned) + NUM_HELD_OUT))
    texts += [Text(caption, "caption", False, "caption") for caption in learned]
    texts += [Text(caption, "caption", False, "held out") for caption in captions[:NUM_HELD_OUT]]
    sentences = read_sentences(texts)
    held_out = np.array([text.origin == "held out" for text in texts])
    print(f"{num_labelled} labelled texts, {len(learned)} captions, {NUM_HELD_OUT} captions held out")
    print(
        f"{'check':10} {'cases':>6} {'precision':>10} {'recall':>7} {'threshold':>10} {'held-out captions found':>25}"
    )
    columns, biases = [], []
    for check in NAMES:
        own = np.array([text.kind == check and text.origin == "case" for text in texts])
        bad = np.array([text.bad for text in texts])
        scores = held_out_scores(check, texts, sentences, folds)
        wrong = np.zeros(len(texts), bool)
        found_cases = held_out_findings(scores[own], bad[own], folds[own])
        wrong[own] = found_cases != bad[own]
        threshold = best_threshold(scores[own], bad[own])
        weights, bias = fit(check, texts, sentences, ~held_out)
        found = score_texts(check, sentences, weights, bias, len(texts)) > threshold
        precision, recall = precision_recall(found_cases, bad[own])
        print(
            f"{check:10} {own.sum():6} {precision:10.3f} {recall:7.3f} {threshold:10.2f} {(found & held_out).sum():25}",
            flush=True,
        )
        if show:
            for i in np.flatnonzero(wrong | (found & held_out)):
                kind = texts[i].origin if not texts[i].bad else "missed"
                print(f"    {kind:9} {scores[i]:6.2f} {texts[i].text[:200]!r}")
        columns.append(weights * sentences.scale)
        biases.append(bias - threshold)
    if not measure_only:
        write_weights(Path(str(WEIGHTS)), np.stack(columns, axis=1), np.array(biases, np.float32))


def write_weights(path: Path, weights: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
    """Store the weights as bytes with one scale per check."""
    scale = (np.abs(weights).max(axis=0) / 127).astype(np.float32)
    np.savez_compressed(path, weights=np.rint(weights / scale).astype(np.int8), scale=scale, bias=bias)
    print(f"{path}: {path.stat().st_size:,} bytes")


def time_per_caption() -> None:
    """Print what judging a caption costs, all five checks together."""
    plain = [text.text for text in read_cases() if not text.bad and len(text.text.split()) > 60]
    model = shipped_model()
    start = time.process_time()
    for text in plain:
        model.score(text)
    each = (time.process_time() - start) / len(plain)
    words = sum(len(text.split()) for text in plain) / len(plain)
    print(f"{each * 1000:.2f} ms of CPU per caption of {words:.0f} words")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="print the figures and write no weights")
    parser.add_argument("--misses", action="store_true", help="also print the texts judged wrongly")
    arguments = parser.parse_args()
    train(arguments.measure, arguments.misses)
    time_per_caption()


if __name__ == "__main__":
    main()
