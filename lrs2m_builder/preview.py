"""`lrs2m build --dry-run` and `--show-prompts`: what a build would do, without asking a model."""

from __future__ import annotations

from collections import Counter
from typing import Any

from lrs2m_builder.engines.base import EngineModule
from lrs2m_builder.errors import SampleError
from lrs2m_builder.images.load import load_rgb
from lrs2m_builder.prepare import BuildOptions, Prepared
from lrs2m_builder.provenance import check_settings
from lrs2m_builder.schema import ImageRef, Request
from lrs2m_builder.stages import next_move


def dry_run(prepared: Prepared) -> dict[str, Any]:
    """The plan of a build: counts, shards, steps, and what is already done."""
    options = prepared.options
    if not options.restart:
        check_settings(options.out_dir, prepared.settings)
    problems: Counter[str] = Counter()
    images: set[ImageRef] = set()
    for sample in prepared.samples():
        if sample.problem:
            problems[sample.problem[0]] += 1
        elif sample.image_path:
            images.add(sample.image_path)
    finished = [length for paths, length in prepared.shards() if paths.finished]
    return {
        "subset": prepared.subset,
        "samples": prepared.num_samples,
        "unusable": dict(sorted(problems.items())),
        "images": len(images),
        "image_layout": prepared.source.images.layout,
        "shards": prepared.num_shards,
        "shards_finished": len(finished),
        "samples_left": prepared.num_samples - sum(finished),
        "steps": [
            {
                "writes": step.writes,
                "prompt": step.prompt,
                "role": step.role,
                "model": name,
                "revision": revision,
                "sampling": dict(step.sampling),
                "checks": {check.name: check.level for check in step.checks},
            }
            for step, (name, revision) in zip(prepared.plan.recipe.recipe.steps, prepared.plan.models, strict=True)
        ],
        "lint": list(prepared.lint),
        "max_attempts": options.max_attempts,
        "engine": options.engine,
        "out": str(options.out_dir),
    }


def show_prompts(prepared: Prepared, module: EngineModule, count: int) -> list[dict[str, Any]]:
    """The first requests as the model would see them, with the image's size and the number of tokens."""
    options: BuildOptions = prepared.options
    shown: list[dict[str, Any]] = []
    previews: dict[int, Any] = {}
    for sample in prepared.samples():
        if len(shown) == count:
            break
        move = next_move(prepared.plan, sample, ())
        if not isinstance(move, Request):
            continue
        if move.step not in previews:
            name = prepared.plan.models[move.step][0]
            previews[move.step] = module.preview(name, move.role, options.engine_options)
        preview = previews[move.step]
        image = None
        try:
            if move.role == "mllm" and sample.image_path is not None:
                image = load_rgb(sample.image_path, preview.image_size, prepared.plan.manifest.part)
        except SampleError as error:
            shown.append({"sample_id": sample.sample_id, "problem": str(error)})
            continue
        shown.append(
            {
                "sample_id": sample.sample_id,
                "image": str(sample.image_path) if image else None,
                "image_size": list(image.size) if image else None,
                "num_prompt_tokens": preview.num_prompt_tokens(move, image),
                "prompt": preview.prompt_text(move),
            }
        )
    return shown
