"""One life of a unit: a producer, an agent and their offsets, opened together and thrown away together.

Law: what is not committed did not happen; after any failure nothing of a life is used again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka.errors import IllegalStateError

from streamml.agents.agent import Agent, Reading
from streamml.agents.live import NotReady
from streamml.records import Role, TopicPartition, Writes
from streamml.runtime.clients import set_fetch, still_here, theirs, unread
from streamml.runtime.context import Context
from streamml.runtime.inbox import Inbox
from streamml.runtime.opening import open_unit
from streamml.runtime.outbox import Outbox
from streamml.runtime.pace import LONGEST_S
from streamml.runtime.restore import Progress
from streamml.runtime.stepper import Stepper
from streamml.runtime.unpacking import BARE

_POLL_S = 60.0
"""How long to wait without a poll: aiokafka leaves the group when there was none for five minutes."""


_FEW = 1_000
"""Records of a partition that are no reason to hold up the others."""

_CATCH_UP_MS = 100
"""How long the others are held up at most for what the broker should have at hand."""


class Life:
    """What a session has between an opening and a loss: records wait, are stepped, and committed with their writes."""

    def __init__(self, context: Context, unit: int, inputs: Mapping[TopicPartition, Role], progress: Progress) -> None:
        self._context = context
        self._unit = unit
        self._inputs = inputs
        self._progress = progress
        self._asked: dict[TopicPartition, Any] = dict(zip(inputs, theirs(inputs), strict=True))
        self._inbox = Inbox(inputs, context.task.inputs, context.task.aligned)
        self._stepper = Stepper(context, unit)
        self._outbox = self._new_outbox()
        self._next: dict[TopicPartition, int] = {}
        self._uncommitted: dict[Any, int] = {}
        self._stepped_at = self._committed_at = 0.0
        self._waits_for: NotReady | None = None
        self.commits = 0

    @property
    def agent(self) -> Agent | None:
        """The agent, once built."""
        return self._stepper.agent

    @property
    def offsets(self) -> Mapping[TopicPartition, int]:
        """The offset that follows the last stepped one, by partition."""
        return self._next

    @property
    def worn(self) -> bool:
        """Whether the producer has written so much that the life must end, see `Outbox.worn`."""
        return self._outbox.worn

    def observe(self) -> list[Reading]:
        """The agent's figures as of its last completed call."""
        return self._stepper.observe()

    def lag(self) -> dict[TopicPartition, int]:
        """Offsets up to the last stable one that are not stepped yet; a partition is absent while that is unknown."""
        left = {tp: unread(self._context.consumer, tp) for tp in self._inputs}
        return {tp: count + self._inbox.waiting(tp) for tp, count in left.items() if count is not None}

    async def open(self) -> None:
        """See `open_unit`."""
        self._next = await open_unit(
            self._context, self._unit, self._inputs, self._outbox, self._stepper, self._progress
        )
        self._context.counters.sessions_opened += 1

    def read_on(self) -> None:
        """Let the consumer fetch from where the state stands: after an opening and after a rebalance."""
        self._inbox.clear()
        for tp, asked in self._asked.items():
            self._context.consumer.seek(asked, self._next[tp])
        self._context.consumer.resume(*self._asked.values())
        self._stepped_at = self._committed_at = time.monotonic()

    async def fetch(self) -> None:
        """Wait for records if none are left, until it is time for a step without any. May be cut short at any time.

        What a step was not ready for is read again, once it is.
        """
        if self._waits_for is not None:
            await self._until_ready(self._waits_for)
            self._waits_for = None
            self.read_on()
        context = self._context
        if self._inbox.size:
            if behind := self._behind():
                self._inbox.put(await context.consumer.getmany(*behind, timeout_ms=_CATCH_UP_MS, max_records=BARE))
            else:
                still_here(context.consumer)
            return
        due = self._stepped_at + context.tuning.commit_interval_s - time.monotonic()
        wait_ms = max(1, int(due * 1_000))
        fetched = await context.consumer.getmany(*self._asked.values(), timeout_ms=wait_ms, max_records=BARE)
        set_fetch(context.consumer, *context.gathering.saw(self._inbox.put(fetched), time.monotonic()))

    async def advance(self) -> None:
        """Step what waits, in pieces short enough for the event loop, up to what one transaction should carry; commit.

        Without any writes the commit is put off, for at most `commit_interval_s`. That long after the last step an
        agent is stepped without records too, since its timers must run although nothing comes. A step that is not ready
        ends the piece: what was stepped before it is committed, and `fetch` waits, since that may be cut short.
        """
        tuning, started, count = self._context.tuning, time.monotonic(), 0
        if not self._inbox.size and started - self._stepped_at < tuning.commit_interval_s:
            return
        writes: list[Writes] = []
        while True:
            before = self._inbox.size
            batch, spans = self._inbox.take(self._stepper.limit)
            taken = before - self._inbox.size
            if self._context.prepare is not None and taken:
                await self._context.prepare(batch)
            try:
                written = await self._stepper.step(batch, taken, spans)
            except NotReady as error:
                self._waits_for = error
                break
            self._context.reach("stepped")
            count += taken
            ends = {tp: span.end for tp, span in spans.items()}
            self._next.update(ends)
            self._uncommitted.update((self._asked[tp], end) for tp, end in ends.items())
            if any(written.values()):
                writes.append(written)
            self._stepped_at = time.monotonic()
            await asyncio.sleep(0)
            if not self._inbox.size or count >= tuning.max_records or self._stepped_at - started > LONGEST_S:
                break
            if self._behind():
                break
        self._context.counters.records_in += count
        if writes or self._stepped_at - self._committed_at >= tuning.commit_interval_s:
            await self._commit(writes)

    def _behind(self) -> list[Any]:
        """Inputs that the others must not leave behind: nothing is left of them, and the broker holds many more."""
        if not self._context.task.aligned:
            return []
        consumer = self._context.consumer
        return [self._asked[tp] for tp in self._inbox.exhausted() if (unread(consumer, tp) or 0) > _FEW]

    async def settle(self) -> None:
        """Commit what was put off, if anything was."""
        if self._uncommitted:
            await self._commit(())

    async def drop(self) -> None:
        """End the life; what is uncommitted is left to the next one."""
        self._inbox.clear()
        with suppress(IllegalStateError):  # The partitions may already belong to another member.
            self._context.consumer.pause(*self._asked.values())
        try:
            await self._outbox.stop()
        finally:
            self._stepper.close()

    async def _until_ready(self, error: NotReady) -> None:
        consumer, asked = self._context.consumer, self._asked.values()
        consumer.pause(*asked)
        while True:
            try:
                async with asyncio.timeout(_POLL_S):
                    return await error.ready()
            except TimeoutError:
                await consumer.getmany(*asked, timeout_ms=1)  # Of what is paused nothing comes.

    async def _commit(self, writes: Sequence[Writes]) -> None:
        changes = await self._stepper.checkpoint()
        if self._uncommitted or writes or any(changes.values()):
            context, started = self._context, time.perf_counter()
            written = await self._outbox.commit((*writes, changes), self._uncommitted)
            took = time.perf_counter() - started
            await self._stepper.committed(self._outbox.last_change)
            context.gathering.committed(took)
            context.counters.writes_out += written
            context.counters.transactions += 1
            context.counters.transaction_seconds += took
            self._uncommitted = {}
            self.commits += 1
        self._committed_at = time.monotonic()

    def _new_outbox(self) -> Outbox:
        context, task = self._context, self._context.task
        written = {*task.outputs, *((task.changelog,) if task.changelog else ())}
        return Outbox(
            context.connection,
            context.transactional_id(self._unit),
            context.group,
            {role: topic for role, topic in context.topics.items() if role in written},
            (task.changelog, context.own(self._unit)) if task.changelog else None,
            self._unit,
            context.tuning,
            context.reach,
        )
