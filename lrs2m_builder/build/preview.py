"""`lrs2m build --dry-run` and `--show-prompts`: what a build would do, without asking a model."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Any

from lrs2m_builder.build.prepare import Prepared
from lrs2m_builder.build.requests import first_requests
from lrs2m_builder.build.settings import check_settings
from lrs2m_builder.build.stages import next_move, unusable
from lrs2m_builder.engines._base import DEFAULT_MAX_PIXELS, EngineModule, ImageBound, Preview
from lrs2m_builder.errors import SampleError
from lrs2m_builder.exchange import Request
from lrs2m_builder.images.load import decode
from lrs2m_builder.schema import ImageRef, Sample


def dry_run(prepared: Prepared) -> dict[str, Any]:
    """The plan of a build: counts, shards, steps, and what is already done."""
    options = prepared.options
    if not options.restart:
        check_settings(prepared.store, prepared.settings)
    problems: Counter[str] = Counter()
    images: set[ImageRef] = set()
    for sample in prepared.samples():
        if problem := unusable(prepared.plan, sample):
            problems[problem[0]] += 1
        elif sample.image_path:
            images.add(sample.image_path)
    there = {found.name for found in prepared.store.files("data")}
    finished = [length for shard, length in prepared.shards() if shard.data in there]
    return {
        "subset": prepared.subset,
        "samples": prepared.num_samples,
        "unusable": dict(sorted(problems.items())),
        "images": len(images),
        "image_layout": prepared.samples_plan.layout,
        "shards": prepared.num_shards,
        "shards_finished": len(finished),
        "samples_left": prepared.num_mine - sum(finished),
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
            for step, (name, revision) in zip(prepared.plan.recipe.steps, prepared.plan.models, strict=True)
        ],
        "verify": _shown_verify(prepared),
        "lint": list(prepared.lint),
        "max_attempts": options.max_attempts,
        "texts": options.texts,
        "engine": options.engine,
        "out": str(options.out_dir),
    }


def _shown_verify(prepared: Prepared) -> dict[str, Any] | None:
    """How texts are held against the images; None if they are not."""
    verify = prepared.plan.verify
    if verify is None:
        return None
    return {"mode": verify.mode, "thresholds": dict(verify.thresholds), "judge": list(verify.judge)}


def show_prompts(prepared: Prepared, module: EngineModule, count: int) -> list[dict[str, Any]]:
    """The first samples' requests as the model would see them, with the image's size and the number of tokens.

    Every step is shown; a placeholder describes the text of an earlier step.
    """
    shown: list[dict[str, Any]] = []
    previews: dict[int, Preview] = {}
    usable = (sample for sample in prepared.samples() if isinstance(next_move(prepared.plan, sample, ()), Request))
    for sample in islice(usable, count):
        for request in first_requests(prepared.plan, sample):
            if request.step not in previews:
                previews[request.step] = _preview(prepared, module, request.step)
            prompt = _shown(prepared, previews[request.step], sample, request)
            shown.append({"sample_id": sample.sample_id, "step": request.step + 1, **prompt})
    return shown


def _preview(prepared: Prepared, module: EngineModule, step: int) -> Preview:
    """A function that shows the requests of a step."""
    options = prepared.options
    if not prepared.has_model:
        return ImageBound(options.engine_options.get("max_pixels") or DEFAULT_MAX_PIXELS)
    one = next(one for one in prepared.passes if step in one.steps)
    return module.preview(one.model, one.role, options.engine_options)


def _shown(prepared: Prepared, preview: Preview, sample: Sample, request: Request) -> dict[str, Any]:
    image = None
    try:
        if request.role == "mllm" and sample.image_path is not None:
            image = decode(sample.image_path, preview.image_size, prepared.plan.manifest.part)
        prompt = preview.prompt_text(request)
    except SampleError as error:
        return {"problem": str(error)}
    return {
        "image": str(sample.image_path) if image else None,
        "image_size": list(image.size) if image else None,
        "num_prompt_tokens": preview.num_prompt_tokens(request, image),
        "prompt": prompt,
    }
