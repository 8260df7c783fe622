"""`lrs2m build --dry-run --calibrate N`: build a few samples as a trial, and forecast the whole build."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from lrs2m_builder.build.prepare import Prepared
from lrs2m_builder.build.run import Here, answer_all
from lrs2m_builder.build.telemetry import Meter
from lrs2m_builder.build.work import find_work
from lrs2m_builder.engines import price_share, trial_module
from lrs2m_builder.engines._base import EngineModule
from lrs2m_builder.errors import UserError
from lrs2m_builder.stores import open_store


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Prices of an endpoint in dollars per million tokens."""

    prompt: float
    answer: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """Measurements on some samples, and the forecast for the remaining ones.

    Attributes:
        seconds: duration of the trial without the start of the engine.
        requests_per_sample: more than one per step means that checks asked again.
        hours, prompt_tokens, tokens, dollars: for all remaining samples; dollars is None without prices. An engine that
            sends batches is tried by one that answers at once, whose hours these are.
        price_share: the share of the prices that the build pays, 0.5 for batches.
        is_rough: the trial had fewer samples than twice the requests in flight: the engine was hardly ever full,
            so the build will be faster.
    """

    samples_tried: int
    samples_left: int
    seconds: float
    captions_per_s: float
    requests_per_sample: float
    reject_rate: float
    rejections: dict[str, int]
    hours: float
    prompt_tokens: int
    tokens: int
    dollars: float | None
    price_share: float
    is_rough: bool


def calibrate(prepared: Prepared, module: EngineModule, num_samples: int, prices: Prices | None = None) -> Forecast:
    """Build samples spread evenly over the source into a temporary folder.

    Raises:
        UserError: the recipe uses no model, nothing is left to build, or the engine stopped.
        Stopped: by a signal.
    """
    if not prepared.passes:
        raise UserError(f"--calibrate: recipe {prepared.options.recipe} uses no model; there is nothing to predict")
    there = {found.name for found in prepared.store.files("data")}
    num_left = sum(length for shard, length in prepared.shards() if shard.data not in there)
    if not num_left:
        raise UserError(f"--calibrate: {prepared.options.out_dir}: every sample is built; nothing is left to predict")
    num_tried = min(num_samples, prepared.num_samples)
    meter = Meter()
    with tempfile.TemporaryDirectory(prefix="lrs2m-calibrate-") as folder:
        options = replace(prepared.options, out_dir=Path(folder), retry_rejected=False, part=None)
        trial_engine = trial_module(module)
        if trial_engine is not module:
            only_ours = module.PERFORMANCE_OPTIONS - trial_engine.PERFORMANCE_OPTIONS
            given = {key: value for key, value in options.engine_options.items() if key not in only_ours}
            options = replace(options, engine_options=given)
        store = open_store(folder)
        trial = replace(
            prepared, options=options, store=store, num_samples=num_tried, every=prepared.num_samples // num_tried
        )
        answer_all(trial, find_work(trial), Here(trial_engine), meter)
    return _forecast(meter, num_left, prices, price_share(module))


def _forecast(meter: Meter, num_left: int, prices: Prices | None, share: float) -> Forecast:
    scale = num_left / meter.done
    prompt_tokens, tokens = round(meter.prompt_tokens * scale), round(meter.tokens * scale)
    return Forecast(
        samples_tried=meter.done,
        samples_left=num_left,
        seconds=round(meter.seconds, 3),
        captions_per_s=round(meter.requests / meter.seconds, 3),
        requests_per_sample=round(meter.requests / meter.done, 3),
        reject_rate=round(meter.rejections.total() / meter.done, 4),
        rejections=dict(meter.rejections.most_common()),
        hours=round(meter.seconds * scale / 3600, 4),
        prompt_tokens=prompt_tokens,
        tokens=tokens,
        dollars=round(share * (prompt_tokens * prices.prompt + tokens * prices.answer) / 1e6, 2) if prices else None,
        price_share=share,
        is_rough=meter.done < 2 * meter.max_in_flight,
    )
