"""Keeping the served model fresh in a process that does not learn it. Law: only whole, verified, newer snapshots serve.

The topic `<app>.models` is read from its beginning (it is compacted and thinned) and then followed. The newest ones
of each model are kept sealed; only those that serve are opened, in a thread, so that no event waits for it. A model
whose learner runs in this process is left alone: the learner's own object serves, or none while it is built anew; its
snapshots are kept for when the learner leaves.

Staleness here is an upper bound. A follower cannot know the position of the head of `examples`, which counts examples,
without reading them all; it knows offsets: those from the one that the snapshot's learner had reached to the end of
what is committed. Each example takes one offset, and so does each transaction's marker, so the true figure is at most
this and, at the usual batch sizes, a few per cent less.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from streamml.agents.live import LiveModels
from streamml.agents.roster import Roster
from streamml.errors import BrokerError, DecodeError, ForeignSnapshot, SnapshotError
from streamml.evaluation import Prequential
from streamml.models import MARK, Fold
from streamml.runtime.clients import FATAL, refusal
from streamml.runtime.connection import Connection
from streamml.schemas import Codec
from streamml.snapshots import Assembler, Snapshot, allow, loads
from streamml.topology import Topology

log = logging.getLogger(__name__)
HEAD_EVERY = 1.0
"""Seconds between two looks at the end of `examples`."""
_REASONS = 20
"""Kinds of refusal that are told at most: a forger may think of any number."""
_UNDECIDED = 8
"""Forks whose snapshots are kept before their decision is known here."""
_CANDIDATES = 3
"""Snapshots of a model kept sealed: if the newest must not be used, the one before it serves."""


class Follower:
    """`leads(model)`: whether that model's learner runs in this process now."""

    def __init__(
        self,
        topology: Topology,
        connection: Connection,
        live: LiveModels,
        codec: Codec,
        signing_key: bytes | None = None,
        leads: Callable[[str], bool] = lambda model: False,
        roster: Roster | None = None,
    ) -> None:
        self._topology = topology
        self._connection = connection
        self._live = live
        self._codec = codec
        self._leads = leads
        self._lineages = (roster or Roster(topology)).lineages
        # A learner's snapshot holds its prequential state beside the model.
        self._allowed = allow(Prequential(topology.target, topology.window))
        self._assembler = Assembler(signing_key)
        self._reasons: set[tuple[str, str]] = set()
        self._judged = 0
        self._past: dict[bytes, tuple[str, str, Exception]] | None = {}
        self._last_refused = b""
        self._sealed: dict[str, list[Snapshot]] = {}
        self._reached: dict[str, int] = {}
        self._models = TopicPartition(topology.topic("models"), 0)
        self._examples = TopicPartition(topology.topic("examples"), 0)
        self._head = 0
        self._opening = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.caught_up = asyncio.Event()
        self.refused: Counter[str] = Counter()
        self.loaded: Counter[str] = Counter()

    async def start(self) -> None:
        """Begin to read; `caught_up` is set once every snapshot that was there is taken in and the champion is open."""
        self._task = asyncio.create_task(self._run(), name="follower")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def check(self) -> None:
        """Raises what ended the follower, if it ended."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()

    @property
    def head(self) -> int:
        """The end offset of `examples`, as of a second ago at most."""
        return self._head

    def behind(self, model: str) -> int:
        """Examples committed after the state that serves as `model`: an upper bound, see above."""
        return max(0, self._head - self._reached.get(model, 0))

    def reached(self, model: str, unread: int) -> None:
        """The learner in this process has `unread` offsets before it: remembered for when it moves elsewhere."""
        self._reached[model] = self._head - unread

    async def open(self, model: str) -> None:
        """See to it that `model` is at hand: its newest snapshot, unless its learner is here."""
        await self._open(model)

    async def _run(self) -> None:
        while True:
            consumer = AIOKafkaConsumer(
                isolation_level="read_committed",
                fetch_max_wait_ms=500,
                max_partition_fetch_bytes=8 << 20,
                **self._connection.client(),
            )
            try:
                await consumer.start()
                await self._read(consumer)
            except FATAL as error:
                raise BrokerError(f"{self._models.topic} cannot be followed: {refusal(error)}") from error
            except KafkaError as error:
                log.warning("%s: cannot be followed now (%s), trying again", self._models.topic, type(error).__name__)
            finally:
                await consumer.stop()
            await asyncio.sleep(1)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        tp = self._models
        consumer.assign([tp])
        await consumer.seek_to_beginning(tp)
        ends = await consumer.end_offsets([tp, self._examples])
        end, self._head = ends[tp], ends[self._examples]
        loop = asyncio.get_running_loop()
        due = loop.time() + HEAD_EVERY
        while True:
            if not self.caught_up.is_set() and await consumer.position(tp) >= end:
                self._tell_past()
                await self._open_all()
                self.caught_up.set()
            for record in (await consumer.getmany(tp, timeout_ms=500)).get(tp, ()):
                self._take(record)
            if self.caught_up.is_set():
                await self._open_all()
            if loop.time() >= due:
                self._head = (await consumer.end_offsets([self._examples]))[self._examples]
                due = loop.time() + HEAD_EVERY

    def _take(self, record: ConsumerRecord) -> None:
        model = (record.key or b"").split(b"/", 1)[0].decode("utf-8", "replace")
        if model.partition(MARK)[0] not in self._lineages:
            return
        if (
            model not in self._lineages
            and model not in self._sealed
            and len(self._sealed) > _UNDECIDED + len(self._lineages)
        ):
            return
        snapshot_of = (record.key or b"").rpartition(b"/")[0]
        if record.value is None:
            self._settled(snapshot_of)
            return
        try:
            snapshot = self._assembler.add(self._codec.decode(record.value))
        except (SnapshotError, DecodeError) as error:
            # After a lost connection the topic is read again: what was judged then is not told twice.
            if record.offset >= self._judged:
                self._judged = record.offset + 1
                self._refused(snapshot_of, model, f"{record.topic}[{record.partition}]@{record.offset}", error)
            return
        if snapshot is None:
            return
        self._settled(snapshot_of)
        # A fork may be learned before its decision is known here.
        if model in self._lineages and snapshot.header["digest"] != self._lineages[model].digest:
            return
        held = self._sealed.setdefault(model, [])
        held.append(snapshot)
        held.sort(key=lambda found: int(found.header["position"]))
        del held[:-_CANDIDATES]

    async def _open_all(self) -> None:
        for model in self._live.in_use():
            await self._open(model)

    async def _open(self, model: str) -> None:
        async with self._opening:
            lineage = self._lineages[model]
            if self._leads(model):
                return
            if self._live.get(model) is None:
                # The model at position 0 is a fold as any other: it serves until there is a better one.
                self._live.follow(lineage.new(self._topology.target))
                self._reached[model] = 0
            sealed = self._sealed.get(model, [])
            sealed[:] = [s for s in sealed if s.header["digest"] == lineage.digest]
            while sealed and sealed[-1].header["position"] > self._live.position(model):
                newest = sealed[-1]
                try:
                    fold = await asyncio.to_thread(self._load, newest)
                except SnapshotError as error:
                    sealed.remove(newest)
                    self._refuse(model, f"{model}@{newest.header['position']}", error)
                    continue
                # Its learner may have come to this process while the snapshot was being opened.
                if not self._leads(model) and self._live.follow(fold):
                    self._reached[model] = newest.header["offset"]
                    self.loaded[model] += 1
                    log.debug("model %s now at position %d", model, fold.position)
                break
            if not self._leads(model):
                sealed[:] = [s for s in sealed if s.header["position"] > self._live.position(model)]

    def _load(self, snapshot: Snapshot) -> Fold:
        header = snapshot.header
        held = loads(snapshot.payload, self._allowed)
        if not (isinstance(held, tuple) and held and isinstance(held[0], bytes)):
            raise SnapshotError(f"it holds a {type(held).__name__}, not what a learner writes")
        return self._lineages[header["model"]].loads(self._topology.target, held[0], header["position"])

    def _refused(self, snapshot_of: bytes, model: str, which: str, error: Exception) -> None:
        if self._past is not None:
            self._past[snapshot_of] = model, which, error
        elif snapshot_of != self._last_refused:  # Each chunk of a forged snapshot is refused.
            self._last_refused = snapshot_of
            self._refuse(model, which, error)

    def _settled(self, snapshot_of: bytes) -> None:
        """It was deleted or written anew since, by its learner."""
        if self._past is not None:
            self._past.pop(snapshot_of, None)

    def _tell_past(self) -> None:
        past, self._past = self._past or {}, None
        for model, which, error in past.values():
            self._refuse(model, which, error)

    def _refuse(self, model: str, which: str, error: Exception) -> None:
        if self._leads(model):
            return
        self.refused[model if model in self._lineages else model.partition(MARK)[0]] += 1
        if not isinstance(error, ForeignSnapshot):
            self._live.refused += 1
        # The learner replays instead; here the model that serves goes on.
        reason = str(error).partition(";")[0]
        kind = re.sub(r"\d+", "", reason)
        if (model, kind) not in self._reasons and len(self._reasons) < _REASONS:
            # Each further snapshot of a wrong key or environment is refused for the same reason: that is counted only.
            self._reasons.add((model, kind))
            log.warning("snapshot refused: %s: %s; the state before it serves on", which, reason)
