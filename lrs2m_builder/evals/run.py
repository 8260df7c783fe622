"""Runs an evaluation, whoever asks for it: its data, the search for leaks, the model, the result and its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from lrs2m_builder.evals.record import Picture, Prepared, Result, Run, Test
from lrs2m_builder.evals.registry import find_evaluation
from lrs2m_builder.evals.results import result_name, write_result
from lrs2m_builder.terminal import say


def evaluate(test: Test, run: Run) -> tuple[Result, Sequence[Picture]]:
    """Evaluate a model on the data of a test; returns the result and the pictures that were drawn.

    Raises:
        UserError: the data, the model or an option cannot be used, or evaluation images were found in training data.
    """
    evaluation = find_evaluation(test.evaluation)
    prepared = evaluation.prepare(test.data, **test.options)
    leakage = _search_leaks(prepared, run) if evaluation.searches_leaks and run.trained_on is not None else {}
    loaded = run.open_model()
    metrics, details = prepared.measure(loaded, run)
    result = Result(
        evaluation=evaluation.name,
        dataset=test.name or prepared.dataset,
        model=run.model,
        revision=loaded.revision,
        metrics=metrics,
        num_images=prepared.num_images,
        num_texts=prepared.num_texts,
        settings={**run.settings, **prepared.settings, "context_length": loaded.context_length, **leakage},
        details=details,
    )
    if run.out_dir is None:
        return result, ()
    pictures = [*prepared.draw(loaded, result, run)]
    if run.for_report:
        pictures += prepared.draw_for_report(loaded, result, run)
    path = run.file(f"{result_name(result)}.json")
    write_result(result, path)
    say(f"written: {path}")
    return result, pictures


def _search_leaks(prepared: Prepared, run: Run) -> dict[str, Any]:
    """Search the training data for the evaluation images; returns what a result's settings say of it.

    Raises:
        UserError: evaluation images were found, and `run.allow_leak` is false.
    """
    from lrs2m_builder.evals.leakage import find_leaks, refuse_leaks, training_data

    paths = list(dict.fromkeys([*training_data(run.model), *(run.trained_on or ())]))
    found = find_leaks(prepared.images, paths, cache=run.leak_cache, show_progress=run.show_progress)
    total = len(prepared.images)
    if not run.allow_leak:
        refuse_leaks(found, total)
    if found.leaked:
        say(f"{found.leaked} of {total} evaluation images are in the training data: the result is not zero-shot")
    for path in found.missing:
        say(f"training data {path}: not found, so not searched for evaluation images")
    if found.unchecked:
        say(f"{found.unchecked} training images were not compared: their rows hold only names, no bytes")
    return {"leakage": {"allow_leak": run.allow_leak, **asdict(found)}}
