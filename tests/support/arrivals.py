"""When committed records arrive at a consumer of another team. Law: a stall is what such a consumer waits, no less."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from types import TracebackType

from confluent_kafka import OFFSET_END, Consumer, Message, TopicPartition


class Arrivals:
    """Reads a topic in a thread from its end on, until the block ends; notes the arrivals by lane.

    A lane is what can stall by itself: the record's partition, unless `lane_of` says otherwise.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        partitions: int,
        lane_of: Callable[[Message], int] = lambda message: message.partition() or 0,
    ) -> None:
        self._at: defaultdict[int, list[float]] = defaultdict(list)
        self._lane_of = lane_of
        self._lanes = range(partitions)
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "a-reader-that-joins-no-group",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 10,
            }
        )
        self._consumer.assign([TopicPartition(topic, number, OFFSET_END) for number in range(partitions)])
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="arrivals", daemon=True)

    def __enter__(self) -> Arrivals:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        self._consumer.close()

    def since(self, moment: float) -> int:
        """How many came after this moment (of `time.monotonic`), in the lane that has the fewest."""
        return min(sum(at > moment for at in list(self._at[lane])) for lane in self._lanes)

    def longest_gap(self, since: float) -> float:
        """The longest time without any record of a lane, in seconds, up to the last one that has come."""
        gaps = [0.0]
        for lane in self._lanes:
            later = [since, *(at for at in list(self._at[lane]) if at > since)]
            gaps += [after - before for before, after in pairwise(later)]
        return max(gaps)

    def _run(self) -> None:
        while not self._ending.is_set():
            first = self._consumer.poll(0.2)
            now = time.monotonic()
            for message in [first, *self._consumer.consume(1_000, 0)] if first is not None else []:
                if message.error() is None:
                    self._at[self._lane_of(message)].append(now)
