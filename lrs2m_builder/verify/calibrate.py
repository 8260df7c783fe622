"""`lrs2m verify --calibrate`: a judge asked claims whose truth is known."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrs2m_builder.declared.prompt import load_prompt
from lrs2m_builder.engines._base import Engine, EngineModule
from lrs2m_builder.engines._pool import EnginePool
from lrs2m_builder.errors import UserError
from lrs2m_builder.images.load import decode
from lrs2m_builder.stopping import signals_raise
from lrs2m_builder.verify.calibration import LOST, JudgedLabel, Measured, measure, write_calibration
from lrs2m_builder.verify.claim_set import read_claims
from lrs2m_builder.verify.judge import PROMPT, Judge, check_engine_options, judge_options, judge_settings

MAX_IMAGES = 16  # decoded at once


@dataclass(frozen=True, slots=True)
class CalibrationOptions:
    """What is measured.

    Attributes:
        labelled: the file of claims.
        out: where calibration.json is written.
        lost: of the true claims of each kind, the share that the chosen threshold calls false.
    """

    labelled: Path
    out: Path
    model: str
    engine: str = "vllm"
    engine_options: Mapping[str, Any] | None = None
    lost: float = LOST


def calibrate_judge(options: CalibrationOptions, engines: EngineModule | EnginePool) -> dict[str, Measured]:
    """Ask a judge every claim of a labelled set, measure it by kind, and write what was found.

    Raises:
        UserError: the file, the model or the engine cannot be used.
        Stopped: a signal came; nothing is written.
    """
    pool = engines if isinstance(engines, EnginePool) else EnginePool(engines)
    given = options.engine_options or {}
    check_engine_options(options.engine, given)
    pool.module.check(options.model, "mllm", given)
    name, revision = pool.module.find(options.model, given)
    next(read_claims(options.labelled), None)  # a file that cannot be used is said before the engine starts
    if options.out.exists():
        raise UserError(f"--out {options.out}: is there already; give a new name")
    engine = pool.begin(options.engine, options.model, "mllm", judge_options(options.engine, given))
    with signals_raise():
        try:
            judged = pool.run(_ask_all(options.labelled, engine))
        finally:
            pool.release(engine)
    measured = measure(judged, options.lost)
    if not measured:
        raise UserError(f"{options.labelled}: no kind of claim has true and false ones that the judge answered")
    judge = {"model": name, "revision": revision, "engine": options.engine} | judge_settings(load_prompt(PROMPT))
    write_calibration(options.out, judge | {"labelled": options.labelled.name, "lost": options.lost}, measured)
    return measured


async def _ask_all(labelled: Path, engine: Engine) -> list[JudgedLabel]:
    judge, judged = Judge(engine), list[JudgedLabel]()
    slots, tasks = asyncio.Semaphore(MAX_IMAGES), list[asyncio.Task[None]]()

    async def ask(image: Any, claims: Any) -> None:
        try:
            picture = await asyncio.to_thread(decode, image, engine.image_size)
            verdicts = await judge.ask(claims[0].sample_id, picture, [claim.words for claim in claims])
        finally:
            slots.release()
        judge.prove(verdicts)
        judged.extend(
            JudgedLabel(c.kind, c.sample_id, c.is_true, v.score, v.mass, c.off, c.prior)
            for c, v in zip(claims, verdicts, strict=True)
        )

    try:
        for image, claims in read_claims(labelled):
            await slots.acquire()
            for task in tasks:
                if task.done():
                    task.result()  # the first failure ends it
            tasks = [task for task in tasks if not task.done()]
            tasks.append(asyncio.create_task(ask(image, claims)))
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await engine.finish()
    return sorted(judged, key=lambda label: label.image)
