"""How long a fault is felt. Law: measured as a consumer of predictions would, event by event.

A partition has recovered once a prediction is committed for an event that was created after the fault began.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Protocol

from chaos.codes import producer_and_tick
from confluent_kafka import OFFSET_END, Consumer, TopicPartition
from support.tiny import START

_DISTURBED = ", disturbed"


class Places(Protocol):
    """Which partition of `events` an event went to."""

    def __call__(self, producer: int, tick: int) -> int: ...


class Recoveries:
    """The faults whose end is awaited, by partition of `events`, and how long those before were felt, by kind (s)."""

    def __init__(self, epoch: float) -> None:
        self.epoch = epoch
        self._open: dict[int, list[tuple[str, float, int]]] = defaultdict(list)
        self._lock = threading.Lock()
        self.seen: dict[str, list[float]] = defaultdict(list)

    @property
    def awaited(self) -> bool:
        """Whether any fault's end is still awaited."""
        return any(self._open.values())

    def expect(self, kind: str, partitions: Iterable[int], at: float | None = None) -> None:
        """A fault of `kind` has begun at `at` (now), and is felt on these partitions."""
        at = time.time() if at is None else at
        created = START + int((at - self.epoch) * 1_000)
        with self._lock:
            for number in partitions:
                self._open[number].append((kind, at, created))

    def disturb(self) -> None:
        """Another fault begins: what is not over yet is felt for longer than it would be by itself."""
        with self._lock:
            for number, waiting in self._open.items():
                self._open[number] = [(_disturbed(kind), at, created) for kind, at, created in waiting]

    def predicted(self, partition: int, event_time: int, now: float) -> None:
        """A prediction of an event from this partition has been read."""
        waiting = self._open.get(partition)
        if not waiting:
            return
        with self._lock:
            over = [each for each in waiting if event_time > each[2]]
            self._open[partition] = [each for each in waiting if event_time <= each[2]]
            for kind, at, _ in over:
                self.seen[kind].append(now - at)

    def figures(self) -> dict[str, Mapping[str, float]]:
        """Of each kind: how many, the median and the longest, in s."""
        with self._lock:
            return {
                kind: {
                    "count": len(found),
                    "median": round(sorted(found)[len(found) // 2], 2),
                    "max": round(max(found), 2),
                }
                for kind, found in sorted(self.seen.items())
                if found
            }


def _disturbed(kind: str) -> str:
    return kind if kind.endswith(_DISTURBED) else kind + _DISTURBED


class Watch:
    """Reads predictions as they come, in a thread; `newest` is the time at which the last one was read."""

    def __init__(self, bootstrap: str, topic: str, partitions: int, places: Places, recoveries: Recoveries) -> None:
        self._reader = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "a-reader-that-joins-no-group",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 20,
                "reconnect.backoff.max.ms": 200,
                "log_level": 2,
            }
        )
        self._reader.assign([TopicPartition(topic, number, OFFSET_END) for number in range(partitions)])
        self._places = places
        self._recoveries = recoveries
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()
        self.count = 0

    def stop(self) -> None:
        self._ending.set()
        self._thread.join(10)
        self._reader.close()

    def _run(self) -> None:
        while not self._ending.is_set():
            first = self._reader.poll(0.2)
            if first is None:
                continue
            now = time.time()
            for message in [first, *self._reader.consume(5_000, 0)]:
                if message.error() is None:
                    self.count += 1
                    if not self._recoveries.awaited:
                        continue
                    producer, tick = producer_and_tick(message.key() or b"")
                    self._recoveries.predicted(self._places(producer, tick), message.timestamp()[1], now)
