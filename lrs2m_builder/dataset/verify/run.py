"""`lrs2m verify`: every claim of every text of a finished data set, asked of a model that sees the image.

The verdicts lie in tables beside the data set (`dataset/scores/`); its own files are not touched. A run that was
stopped or killed continues, and asks nothing again that it had kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

from lrs2m_builder.dataset.scores.places import SCORE_JSON, SCORES, ScoredFile, check_name, scored_files, the_home
from lrs2m_builder.dataset.scores.table import Scoring
from lrs2m_builder.dataset.scores.write import ScoreTable, score_table
from lrs2m_builder.dataset.verify.report import VerifyReport, VerifyRun, make_report
from lrs2m_builder.dataset.verify.rows import CLAIM_COLUMNS, TextName, score_columns
from lrs2m_builder.dataset.verify.runner import VerifyRunner
from lrs2m_builder.declared.prompt import Prompt, load_prompt
from lrs2m_builder.engines._base import EngineModule
from lrs2m_builder.engines._draining import drain_on_signal
from lrs2m_builder.engines._pool import EnginePool
from lrs2m_builder.stopping import leaving
from lrs2m_builder.stores.lock import locked
from lrs2m_builder.terminal import say
from lrs2m_builder.verify.judge import PROMPT, Judge, check_engine_options, judge_options, judge_settings
from lrs2m_builder.verify.verdicts import thresholds_for
from lrs2m_builder.verify.written import PROMPT as CLAIMS_PROMPT
from lrs2m_builder.verify.written import ClaimWriter, check_writer, writer_settings

ClaimSource = Literal["rules", "model"]
KIND = "verify"


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """What `lrs2m verify` is asked to do.

    Attributes:
        path: the data set.
        name: of the scores; SQL knows their columns as `<name>_long_min` and so on.
        texts: which texts are judged.
        limit: only the first records.
        claims: who splits the texts into claims: the rules, or the model itself.
        thresholds: by kind of claim, the score below which a claim counts as false; without any those that lie beside
            the judge's weights (calibration.json), else 0.5.
        image_dir: the folder of the images that the rows only name.
        num_shown: so many claims with the smallest scores are in the report.
    """

    path: Path
    model: str
    engine: str = "vllm"
    engine_options: Mapping[str, Any] = field(default_factory=dict)
    name: str = KIND
    texts: tuple[TextName, ...] = ("long", "short")
    claims: ClaimSource = "rules"
    limit: int | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    image_dir: Path | None = None
    num_shown: int = 5


def verify(options: VerifyOptions, engines: EngineModule | EnginePool) -> VerifyReport:
    """Judge the texts of a data set, or continue.

    Args:
        engines: an engine's module, which is started if there is something to ask; or a pool.

    Raises:
        UserError: a setting, a file or the model cannot be used, or scores of this name were made otherwise.
    """
    pool = engines if isinstance(engines, EnginePool) else EnginePool(engines)
    check_name(options.name)
    check_engine_options(options.engine, options.engine_options)
    if options.claims == "model":
        check_writer(options.engine, pool.module)
    pool.module.check(options.model, "mllm", options.engine_options)
    prompt = load_prompt(PROMPT)
    found = scored_files(options.path)
    _forget_unstarted(the_home(found), options.name)
    with score_table(options.path, _scoring(options, prompt, pool.module), say) as table:
        works = _to_do(table, options.limit)
        run = _ask(options, prompt, table, works, pool) if works else VerifyRun()
        return make_report(table, options.num_shown, run)


def _scoring(options: VerifyOptions, prompt: Prompt, module: EngineModule) -> Scoring:
    name, revision = module.find(options.model, options.engine_options)
    asked = {key: value for key, value in options.engine_options.items() if key not in module.PERFORMANCE_OPTIONS}
    settings = {
        "model": {"name": "(folder)" if revision.startswith("sha256:") else name, "revision": revision},
        "engine": options.engine,
        "engine_options": asked,
        "texts": sorted(options.texts),
        "thresholds": thresholds_for(options.model, options.thresholds),
        **judge_settings(prompt),
        **(writer_settings(load_prompt(CLAIMS_PROMPT)) if options.claims == "model" else {}),
    }
    columns = score_columns(sorted(options.texts))
    return Scoring(options.name, KIND, settings, columns, CLAIM_COLUMNS, {"model": options.model})


def _forget_unstarted(home: Path, name: str) -> None:
    """Remove the settings of a run that ended before its first verdict: another model may have the name."""
    folder = home / SCORES / name
    if not (folder / SCORE_JSON).is_file():
        return
    with locked(folder, KIND):
        kept = (path for path in folder.rglob("*.*") if path.suffix in {".parquet", ".jsonl"} and path.stat().st_size)
        if next(kept, None) is None:
            (folder / SCORE_JSON).unlink()


def _to_do(table: ScoreTable, limit: int | None) -> list[tuple[ScoredFile, frozenset[str]]]:
    """The records without an answer, by shard; a shard that lacks only its tables gets them."""
    works, left = [], limit
    for file in table.files:
        ids = pq.read_table(file.path, columns=["sample_id"])["sample_id"].to_pylist()[:left]
        left = None if left is None else left - len(ids)
        if not ids:
            break
        with table.open_shard(file) as shard:
            unknown = frozenset(sample_id for sample_id in ids if not shard.is_known(sample_id))
            if unknown:
                works.append((file, unknown))
            else:
                shard.finish()
    return works


def _ask(
    options: VerifyOptions,
    prompt: Prompt,
    table: ScoreTable,
    works: Sequence[tuple[ScoredFile, frozenset[str]]],
    pool: EnginePool,
    clock: Callable[[], float] = time.monotonic,
) -> VerifyRun:
    """Start the engine and ask it about these records."""
    given = judge_options(options.engine, options.engine_options)
    engine = pool.begin(options.engine, options.model, "mllm", given)
    with leaving() as leave_soon:
        try:
            judge = Judge(engine, prompt)
            writer = ClaimWriter(engine) if options.claims == "model" else None
            runner = VerifyRunner(judge, table, options.texts, options.thresholds, options.image_dir, writer)
            began = clock()
            stopped = pool.run(drain_on_signal(runner, runner.run(works), leave_soon))
            seconds = clock() - began
        finally:
            pool.release(engine)
    left = sum(len(ids) for _, ids in works) - runner.num_kept
    return VerifyRun(
        num_asked=judge.num_asked,
        seconds=seconds,
        cached_share=judge.cached_share,
        num_left_out=runner.num_left_out,
        num_written=writer.num_texts - writer.num_by_rules if writer else 0,
        num_by_rules=writer.num_by_rules if writer else 0,
        num_invented=writer.num_invented if writer else 0,
        rows_left=left,
        stopped=stopped,
    )
