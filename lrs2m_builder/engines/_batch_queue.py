"""The batches of one build at an endpoint: gathered, sent once, looked at, and their answers given out.

Nothing is paid for twice: a record stands before a batch is made, and whatever may have been made is looked for before
it is made again.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import IO, Any

from lrs2m_builder.engines._base import ENDPOINT_FAILED, AskAgainError, EngineStoppedError
from lrs2m_builder.engines._batch_records import BatchRecord, BatchRecords
from lrs2m_builder.engines._batch_wire import Batch, BatchWire, read_outcome
from lrs2m_builder.engines._endpoint_errors import PassingError, SettingError
from lrs2m_builder.engines._endpoint_gate import KEPT, MAX_IN_A_ROW
from lrs2m_builder.engines._endpoint_wire import Endpoint
from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.exchange import Completion
from lrs2m_builder.terminal import say

SAY_EVERY_S = 60.0
KEEP_RECORD_S = 1800.0  # after the last answer of a batch: by then the journals are stored
FIRST_LOOK_S = 5.0
MAX_HELD = 3  # times that an otherwise empty queue may refuse a batch as too long
_RUNNING = {"validating", "in_progress", "finalizing", "cancelling"}
_QUEUE_FULL = {"token_limit_exceeded", "rate_limit_exceeded"}


@dataclass(slots=True, eq=False)
class GatheredBatch:
    """A batch from its first request to its last answer.

    Attributes:
        lines: its requests as they are uploaded; None when they were, or by an earlier run.
        waiting: the requests that wait for an answer, by key.
        name, record: its record; "" and None while it is gathered.
        is_earlier: it was sent by an earlier run.
        look_at: when it is looked at next.
        ended_at: when its last answer was given.
    """

    lines: IO[bytes] | None = None
    size: int = 0
    waiting: dict[str, asyncio.Future[Completion]] = field(default_factory=dict)
    name: str = ""
    record: BatchRecord | None = None
    is_earlier: bool = False
    look_at: float = 0.0
    ended_at: float | None = None
    shown: tuple[str, int] = ("", 0)
    said_at: float = 0.0


class BatchQueue:
    """The batches of one pass of a build."""

    def __init__(self, endpoint: Endpoint, records: BatchRecords, options: Mapping[str, Any]) -> None:
        """Prepare to send; `begin` starts the work beside the build.

        Args:
            options: batch_requests, batch_mb, max_waiting, max_tries, gather_s, poll_s, timeout_s, wait_s.
        """
        self._endpoint, self._records, self._options = endpoint, records, options
        self._max_bytes = int(options["batch_mb"] * 1e6)
        self._gathered: list[GatheredBatch] = []
        self._sent: list[GatheredBatch] = []
        self._earlier: dict[str, GatheredBatch] = {}  # of earlier runs, by request
        self._found: dict[str, Completion] = {}  # answers of those that nobody has asked for yet
        self._tries: dict[str, int] = {}
        self._wire = BatchWire(endpoint, options["timeout_s"], options["wait_s"])
        self._worker: asyncio.Task[None] | None = None
        self._creating: asyncio.Task[None] | None = None
        self._beginning, self._poke = asyncio.Lock(), asyncio.Event()
        self._added_at = self._held_until = 0.0
        self._num_held = 0
        self._is_stopped = False
        self._error: Exception | None = None

    async def begin(self) -> None:
        """Read the records of earlier runs and start the work beside the build, at the first request.

        Raises:
            UserError: a record is of another endpoint, or cannot be read.
            EngineStoppedError: the work has stopped.
        """
        async with self._beginning:
            if self._error is not None:
                raise self._error
            if self._is_stopped:
                raise asyncio.CancelledError
            if self._worker is not None:
                return
            for name, record in (await asyncio.to_thread(self._records.read)).items():
                if record.endpoint != self._endpoint.shown:
                    raise UserError(
                        f"--base-url {self._endpoint.shown}: {self._records.where(name)} was sent to "
                        f"{record.endpoint}; give that address, or delete the file to pay for its requests again"
                    )
                batch = GatheredBatch(name=name, record=record, is_earlier=True)
                self._sent.append(batch)
                self._earlier |= dict.fromkeys(record.requests, batch)
            self._worker = asyncio.create_task(self._work())

    def known(self, key: str) -> asyncio.Future[Completion] | None:
        """The answer of a request that an earlier run sent; None if none did."""
        answer: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        if key in self._found:
            answer.set_result(self._found.pop(key))
        elif (batch := self._earlier.get(key)) is not None:
            self._wait_for(batch, key, answer)
        else:
            return None
        return answer

    def _wait_for(self, batch: GatheredBatch, key: str, answer: asyncio.Future[Completion]) -> None:
        batch.waiting[key] = answer
        self._added_at = time.monotonic()
        self._poke.set()

    def put(self, key: str, line: bytes) -> asyncio.Future[Completion]:
        """Add a request to the batch that is gathered; to a new one if that is full."""
        answer: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        if not self._gathered or self._is_full(self._gathered[-1], len(line)):
            self._gathered.append(_new_batch())
        batch = self._gathered[-1]
        assert batch.lines is not None
        batch.lines.write(line)
        batch.size += len(line)
        self._wait_for(batch, key, answer)
        return answer

    def _is_full(self, batch: GatheredBatch, more: int = 0) -> bool:
        return len(batch.waiting) >= int(self._options["batch_requests"]) or batch.size + more > self._max_bytes

    async def _work(self) -> None:
        """Send what is due and look at what was sent, until the build ends."""
        try:
            while True:
                self._poke.clear()
                while self._is_due():
                    await self._send()
                for batch in list(self._sent):
                    if batch.waiting and batch.look_at <= time.monotonic():
                        await self._look(batch)
                    elif batch.ended_at is not None and time.monotonic() - batch.ended_at > KEEP_RECORD_S:
                        self._sent.remove(batch)
                        await self._drop_record(batch)
                await self._pause()
        except Exception as error:  # noqa: BLE001 - raised by every request that waits, and by later ones
            self._error = error
            for answer in self._answers():
                answer.set_exception(error)

    def _answers(self) -> list[asyncio.Future[Completion]]:
        """What is waited for."""
        batches = [*self._gathered, *self._sent]
        return [answer for batch in batches for answer in batch.waiting.values() if not answer.done()]

    def _is_due(self) -> bool:
        """Whether the first gathered batch is to be sent: it is full, or the build gives no more for now."""
        if self._is_stopped or not self._gathered or time.monotonic() < self._held_until:
            return False
        first = self._gathered[0]
        if len(self._gathered) > 1 or self._is_full(first):
            return True
        is_quiet = time.monotonic() - self._added_at >= self._options["gather_s"]
        num_waiting = sum(len(batch.waiting) for batch in (*self._gathered, *self._sent))
        return bool(is_quiet or num_waiting >= self._options["max_waiting"])

    async def _pause(self) -> None:
        """Sleep until something is due."""
        now = time.monotonic()
        times = [batch.look_at for batch in self._sent if batch.waiting]
        if self._gathered:
            times.append(max(self._added_at + self._options["gather_s"], self._held_until))
        seconds = max(0.01, min(times, default=now + SAY_EVERY_S) - now)
        try:
            await asyncio.wait_for(self._poke.wait(), seconds)
        except TimeoutError:
            return

    async def _send(self) -> None:
        """Upload the first gathered batch, record it, and have it made."""
        batch = self._gathered[0]
        assert batch.lines is not None
        if batch is self._gathered[-1]:
            self._gathered.append(_new_batch())
        file_id = await self._wire.upload("lrs2m.jsonl", batch.lines)
        if self._is_stopped:
            return
        record = BatchRecord(self._endpoint.shown, file_id, "", tuple(batch.waiting))
        batch.name, batch.record = await asyncio.to_thread(self._records.add, record), record
        batch.lines.close()
        batch.lines = None
        self._gathered = [other for other in self._gathered if other is not batch and other.waiting]
        self._sent.append(batch)
        await self._create(batch)

    async def _create(self, batch: GatheredBatch) -> None:
        """Have a batch made of its file; whatever stops the build meanwhile, its id is recorded."""
        self._creating = asyncio.create_task(self._created(batch))
        await asyncio.shield(self._creating)

    async def _created(self, batch: GatheredBatch) -> None:
        assert batch.record is not None
        batch_id = await self._wire.create(batch.record.file, may_exist=batch.is_earlier)
        batch.record = replace(batch.record, batch=batch_id)
        await asyncio.to_thread(self._records.replace, batch.name, batch.record)
        batch.look_at = time.monotonic() + min(FIRST_LOOK_S, self._options["poll_s"])
        say(
            f"batch {batch_id}: {len(batch.record.requests):,} requests sent, answers come within 24 h; "
            "after Ctrl-C the same command collects them"
        )

    async def _look(self, batch: GatheredBatch) -> None:
        """See how far a batch is, and take its answers when it has ended."""
        assert batch.record is not None
        if not batch.record.batch:
            await self._create(batch)
        state = await self._wire.look(batch.record.batch)
        now = time.monotonic()
        if state.status not in _RUNNING:
            await self._take(batch, state)
            return
        shown = state.status, state.num_done
        if shown != batch.shown and (shown[0] != batch.shown[0] or now - batch.said_at >= SAY_EVERY_S):
            batch.shown, batch.said_at = shown, now
            say(f"batch {state.batch_id}: {state.status}, {state.num_done:,} of {len(batch.record.requests):,} done")
        batch.look_at = now + self._options["poll_s"]

    async def _take(self, batch: GatheredBatch, state: Batch) -> None:
        """Give the answers of a batch that has ended to those who wait for them."""
        assert batch.record is not None
        if state.status == "failed":
            await self._failed(batch, state)
            return
        self._num_held, self._held_until = 0, 0.0  # there is room in the queue again
        refused: list[SampleError] = []
        num_given, stop = 0, ""
        for file_id in state.files:
            async with self._wire.download(file_id) as lines:
                for key, entry in lines:
                    try:
                        self._give(batch, key, read_outcome(entry, self._endpoint))
                        num_given += 1
                    except PassingError as error:
                        self._ask_again(batch, key, str(error))
                    except (SampleError, SettingError) as error:
                        if batch.is_earlier:  # what was refused then may be allowed by now
                            self._ask_again(batch, key, str(error))
                        elif isinstance(error, SampleError):
                            refused.append(error)
                            self._refuse(batch, key, error)
                        else:
                            stop = str(error)
        if not num_given and len(refused) >= MAX_IN_A_ROW:
            stop = f"all {len(refused)} requests of a batch were refused, the last with: {refused[-1].detail}"
        if state.status == "cancelled" and not batch.is_earlier:
            stop = f"batch {state.batch_id} was cancelled there; the same command sends again what it did not answer"
        if stop:
            if not num_given:
                await self._drop_record(batch)  # nothing was paid: it is sent anew when the setting is right
            raise EngineStoppedError(f"{self._endpoint.shown}: {stop}; {KEPT}")
        for key in batch.record.requests:
            self._ask_again(batch, key, f"not answered by batch {state.batch_id} ({state.status})")
        if not batch.is_earlier:  # what an earlier one answered may not be asked for yet
            batch.ended_at = time.monotonic()

    def _give(self, batch: GatheredBatch, key: str, completion: Completion) -> None:
        is_known = self._take_out(batch, key)
        answer = batch.waiting.pop(key, None)
        if answer is not None and not answer.done():
            answer.set_result(completion)
        elif is_known:
            self._found[key] = completion

    def _refuse(self, batch: GatheredBatch, key: str, error: SampleError) -> None:
        if (answer := batch.waiting.pop(key, None)) and not answer.done():
            answer.set_exception(error)

    def _ask_again(self, batch: GatheredBatch, key: str, why: str, *, counts: bool = True) -> None:
        """Have a request asked in the next batch, unless it failed too often."""
        self._take_out(batch, key)
        answer = batch.waiting.pop(key, None)
        if answer is None or answer.done():
            return
        if counts and not batch.is_earlier:
            self._tries[key] = self._tries.get(key, 0) + 1
        if self._tries.get(key, 0) >= self._options["max_tries"]:
            answer.set_exception(SampleError(ENDPOINT_FAILED, f"{self._tries.pop(key)} batches, the last: {why}"))
        else:
            answer.set_exception(AskAgainError(why))

    def _take_out(self, batch: GatheredBatch, key: str) -> bool:
        """Have a request of an earlier batch not looked for there any more; whether it was."""
        is_known = self._earlier.get(key) is batch
        if is_known:
            del self._earlier[key]
        return is_known

    async def _failed(self, batch: GatheredBatch, state: Batch) -> None:
        """A batch that was refused as a whole: wait if the queue is full, else stop."""
        assert batch.record is not None
        code, message = state.problem
        await self._drop_record(batch)
        what = f"batch {state.batch_id} failed: {message or code or 'no reason given'}"
        is_alone = not any(other.waiting for other in self._sent if other is not batch)
        self._num_held = self._num_held + 1 if is_alone else 0
        if code not in _QUEUE_FULL or self._num_held >= MAX_HELD:
            advice = "; smaller batches: --engine-option batch_requests=N" if code in _QUEUE_FULL else ""
            raise EngineStoppedError(f"{self._endpoint.shown}: {what}{advice}; {KEPT}")
        say(f"{what}; its requests are sent again later")
        self._held_until = time.monotonic() + 10 * self._options["poll_s"]
        for key in batch.record.requests:
            self._ask_again(batch, key, what, counts=False)
        self._sent.remove(batch)

    async def _drop_record(self, batch: GatheredBatch) -> None:
        """Drop a record that no answer depends on any more, and delete the uploaded requests."""
        assert batch.record is not None
        await asyncio.to_thread(self._records.drop, batch.name)
        await self._wire.delete(batch.record.file)

    def stop(self) -> None:
        """Leave the batches at the endpoint; what was not sent is dropped."""
        self._is_stopped = True
        left = [len(batch.waiting) for batch in self._sent if batch.waiting]
        if left and self._error is None:
            say(
                f"{sum(left):,} requests stay in {len(left)} batches at {self._endpoint.shown}: the same command "
                "collects their answers, and pays for none twice"
            )
        for answer in self._answers():
            answer.cancel()

    async def finish(self) -> None:
        """End the work beside the build; a batch that is being made is recorded first."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        if self._creating is not None:
            await asyncio.gather(self._creating, return_exceptions=True)
        await self._wire.close()


def _new_batch() -> GatheredBatch:
    return GatheredBatch(lines=tempfile.TemporaryFile(prefix="lrs2m-batch-"))
