"""Takes the records of a data set to a judge, many at a time, and keeps each record's verdicts as soon as it has all.

The first records go one by one, until it is seen that the judge answers with yes or no; before that nothing is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from PIL import Image
from tqdm import tqdm

from lrs2m_builder.dataset.foreign import as_record, plain_rows, reading
from lrs2m_builder.dataset.scores.places import ScoredFile
from lrs2m_builder.dataset.scores.table import RowScores
from lrs2m_builder.dataset.scores.write import ScoreShard, ScoreTable
from lrs2m_builder.dataset.verify.rows import Question, TextName, question_of, row_scores
from lrs2m_builder.engines._base import ENDPOINT_FAILED
from lrs2m_builder.errors import SampleError
from lrs2m_builder.images.files import image_ref
from lrs2m_builder.images.load import IMAGE_WORKERS, decode
from lrs2m_builder.verify.claims import Claim, claims_of
from lrs2m_builder.verify.judge import NUM_TRIED, Judge, Verdict, check_tried
from lrs2m_builder.verify.verdicts import Thresholds
from lrs2m_builder.verify.written import ClaimWriter

ROWS_AT_ONCE = 50  # read from a shard, with their images


class VerifyRunner:
    """One run of a judge over the shards that need it.

    Attributes:
        stopping: ask no more; what is in flight is answered and kept.
        num_kept: records whose verdicts were kept.
        num_left_out: claims of texts with too many, which are not asked.
    """

    def __init__(
        self,
        judge: Judge,
        table: ScoreTable,
        texts: Sequence[TextName],
        thresholds: Thresholds,
        image_dir: Path | None = None,
        writer: ClaimWriter | None = None,
    ) -> None:
        """Prepare a run.

        Args:
            image_dir: the folder of the images that the rows only name.
            writer: writes the claims of the texts; by default the rules make them.
        """
        self._writer = writer
        self._image_dir = image_dir
        self._judge, self._table, self._texts, self._thresholds = judge, table, texts, thresholds
        # Enough records alive to keep the engine busy, few enough that what it computed of their images is still there.
        self._alive = asyncio.Semaphore(max(2, judge.engine.max_in_flight // 4) + IMAGE_WORKERS)
        self._pool = ThreadPoolExecutor(IMAGE_WORKERS, thread_name_prefix="image")
        self._tasks: set[asyncio.Task[None]] = set()
        self._tried: list[Verdict] | None = []
        self._held: list[RowScores] = []
        self._failure: BaseException | None = None
        self.stopping = False
        self.num_kept = self.num_left_out = 0

    def stop(self) -> None:
        """Ask about no further record; what waits for an endpoint is dropped."""
        self.stopping = True
        self._judge.engine.stop_waiting()

    def cancel(self) -> None:
        """Drop what is in flight too."""
        self.stopping = True
        for task in self._tasks:
            task.cancel()

    async def run(self, works: Sequence[tuple[ScoredFile, Collection[str]]]) -> None:
        """Judge the records of these ids, shard after shard.

        Raises:
            UserError: the judge does not answer with yes or no, the engine stopped, or the disk fails.
        """
        try:
            with tqdm(total=sum(len(ids) for _, ids in works), unit="row", disable=None) as progress:
                for file, ids in works:
                    with self._table.open_shard(file) as shard:
                        await self._judge_shard(shard, ids, progress)
                        if self._failure is not None:
                            raise self._failure
                        if self.stopping:
                            return
                        shard.finish()
        finally:
            await self._judge.engine.finish()
            self._pool.shutdown(wait=not self.stopping, cancel_futures=True)

    async def _judge_shard(self, shard: ScoreShard, ids: Collection[str], progress: Any) -> None:
        for row in _rows(shard.file, ids):
            await self._alive.acquire()
            if self.stopping:
                break
            task = asyncio.create_task(self._guarded(shard, row, progress))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            if self._tried is not None:
                await asyncio.wait([task])
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._held and self._failure is None and not self.stopping:
            self._end_trial(shard)  # a shard with fewer claims than are tried

    async def _guarded(self, shard: ScoreShard, row: Mapping[str, Any], progress: Any) -> None:
        """Judge one record; the first failure that is not the record's own stops the run."""
        try:
            await self._judge_row(shard, row)
            progress.update()
        except asyncio.CancelledError:
            if not self.stopping:
                raise
        except BaseException as error:  # noqa: BLE001 - raised by run()
            self._failure = self._failure or error
            self.stopping = True
        finally:
            self._alive.release()

    async def _judge_row(self, shard: ScoreShard, row: Mapping[str, Any]) -> None:
        try:
            question = question_of(row, {text: await self._claims(row, text) for text in self._texts})
        except SampleError:
            return  # another run asks again
        statements = question.statements
        try:
            verdicts = await self._judge.ask(question.sample_id, await self._image(question), statements)
            tried = verdicts
        except SampleError as error:
            verdicts, tried = [Verdict(reason=error.reason, detail=error.detail)] * len(statements), []
        if any(verdict.reason == ENDPOINT_FAILED for verdict in verdicts):
            return  # another run asks again
        self.num_left_out += question.num_left_out
        scores = row_scores(question, dict(zip(statements, verdicts, strict=True)), self._thresholds)
        if self._tried is None:
            self._keep(shard, [scores])
            return
        self._held.append(scores)
        self._tried += tried
        if len(self._tried) >= NUM_TRIED:
            self._end_trial(shard)

    async def _claims(self, row: Mapping[str, Any], text: TextName) -> tuple[Claim, ...]:
        """The claims of a text.

        Raises:
            SampleError: the endpoint that writes them is away.
        """
        caption = row[f"caption_{text}"] or ""
        return claims_of(caption) if self._writer is None else await self._writer.write(row["sample_id"], caption)

    def _end_trial(self, shard: ScoreShard) -> None:
        """See whether the judge answers with yes or no, and keep its first verdicts."""
        if self._tried:
            check_tried(self._tried, self._judge.engine.model)
            self._tried = None
        self._keep(shard, self._held)
        self._held.clear()

    def _keep(self, shard: ScoreShard, scores: Sequence[RowScores]) -> None:
        shard.keep(scores)
        self.num_kept += len(scores)

    async def _image(self, question: Question) -> Image.Image:
        """The image of a row, decoded by the pool.

        Raises:
            SampleError: it is missing or is not a usable image.
        """
        if question.image is None:
            raise SampleError("image_missing", "the row contains no image")
        ref = image_ref(question.image, self._image_dir)
        return await asyncio.get_running_loop().run_in_executor(self._pool, decode, ref, self._judge.engine.image_size)


def _rows(file: ScoredFile, ids: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of these ids, with their images."""
    with reading(file.path), pq.ParquetFile(file.path, page_checksum_verification=True) as shard:
        columns = [
            name for name in ("sample_id", "caption_short", "caption_long", "image") if name in shard.schema_arrow.names
        ]
        for batch in shard.iter_batches(ROWS_AT_ONCE, columns=columns):
            yield from (row for row in plain_rows(as_record(batch), file.path) if row["sample_id"] in ids)
