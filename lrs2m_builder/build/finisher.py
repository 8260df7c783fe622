"""The end of a shard in a pass: written if it is the last pass, else its journal is kept for the next one."""

from __future__ import annotations

import asyncio

from lrs2m_builder.build.open_journals import OpenJournals
from lrs2m_builder.build.plan import BuildPlan, Pass
from lrs2m_builder.build.shards import write_shard
from lrs2m_builder.build.telemetry import Progress
from lrs2m_builder.build.work import ShardWork
from lrs2m_builder.engines._base import ENDPOINT_FAILED
from lrs2m_builder.schema import Rejection
from lrs2m_builder.terminal import say

MAX_WAITING_SHARDS = 2  # finished in memory but not yet written


class Finisher:
    """Finishes the shards of a pass; they are written one at a time."""

    def __init__(
        self, plan: BuildPlan, one: Pass, journals: OpenJournals, progress: Progress, *, embed_images: bool
    ) -> None:
        """Prepare to write.

        Args:
            embed_images: whether rows hold the bytes of their images.
        """
        self._plan, self._pass, self._journals, self._progress = plan, one, journals, progress
        self._embed_images = embed_images
        self._writing = asyncio.Lock()
        self._waiting_shards = asyncio.Semaphore(MAX_WAITING_SHARDS)

    async def catch_up(self) -> None:
        """Wait until fewer than MAX_WAITING_SHARDS shards wait for the disk."""
        async with self._waiting_shards:
            pass

    async def finish(self, work: ShardWork) -> None:
        """Write a shard whose samples all came to their end; after an earlier pass, keep its journal."""
        if not self._pass.is_last:
            failed = any(isinstance(end, Rejection) and end.reason == ENDPOINT_FAILED for end in work.outcomes.values())
            if not failed:
                work.journal.finish_pass(self._pass.number + 1)
            await asyncio.to_thread(work.journal.close)
            self._progress.finished(work.shard.index)
            return
        async with self._waiting_shards, self._writing:
            won = await asyncio.to_thread(
                write_shard,
                work.shard,
                work.order,
                work.outcomes,
                self._plan.manifest.part,
                before=work.before,
                number=work.number,
                verify_images=all(step.role == "llm" for step in self._plan.recipe.steps),
                embed_images=self._embed_images,
            )
            if won is None:
                say(f"{work.shard.where(work.shard.data)}: another process finished it first; its rows stay")
            await asyncio.to_thread(work.journal.remove)
            self._journals.discard(work.journal)
            self._progress.finished(work.shard.index)
