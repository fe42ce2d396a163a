"""A steady stream of events with their labels, and a consumer that notes when each prediction was in its hands."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import count, islice
from typing import Any

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from benchmarks.load import frame
from benchmarks.phishing import EVENT, LABEL, START, id_of, rows

DELAY = 1_000
_ENDLESS = 1 << 40


class Stream:
    """Sends `rate` events a second from the one at `first` on, each label `DELAY` events later, until the block ends.

    `sent` holds the time (of `time.monotonic`) at which each event was handed to the producer, by its key.
    """

    def __init__(self, bootstrap: str, app: str, rate: int, first: int = 0) -> None:
        self.sent: dict[bytes, float] = {}
        self._app, self._rate, self._first = app, rate, first
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stream", daemon=True)

    def __enter__(self) -> Stream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self._producer.flush(30)

    def _run(self) -> None:
        app, producer, first = self._app, self._producer, self._first
        event, label = frame(f"{app}.events", EVENT), frame(f"{app}.feedback", LABEL)
        answers: list[bool] = []
        begun = time.monotonic()
        for place, (x, y) in zip(count(first), islice(rows(_ENDLESS), first, None), strict=False):
            due = begun + (place - first) / self._rate
            while (left := due - time.monotonic()) > 0:
                producer.poll(min(left, 0.001))
            if self._ending.is_set():
                return
            key, now = id_of(place).encode(), START + place
            answers.append(y)
            value = event({"id": key.decode(), "time": now, **x})
            self.sent[key] = time.monotonic()
            producer.produce(f"{app}.events", value, key)
            if len(answers) > DELAY:
                earlier = place - DELAY
                answer = {"id": id_of(earlier), "is_phishing": answers[earlier - first], "time": now}
                producer.produce(f"{app}.feedback", label(answer), id_of(earlier))


class Reader:
    """Reads topics (their partition 0, read_committed) in a thread from their ends on until the block ends; `take` is
    called with each record and the time at which it was there. What ended the reading is raised at the end."""

    def __init__(self, bootstrap: str, topics: list[str], take: Callable[[Message, float], None]) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "a-reader-that-joins-no-group",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 5,
            }
        )
        parts = [TopicPartition(topic, 0) for topic in topics]
        for part in parts:  # The ends of now: a position that is looked up later may lie behind what came meanwhile.
            part.offset = self._consumer.get_watermark_offsets(part, timeout=30)[1]
        self._consumer.assign(parts)
        self._take = take
        self._ending = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self._consumer.close()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._ending.is_set():
                message = self._consumer.poll(0.2)
                if message is not None and message.error() is None:
                    self._take(message, time.monotonic())
        except BaseException as error:
            self._error = error


def quantiles(values: list[float]) -> dict[str, Any]:
    """p50, p95, p99 and the greatest, as they are given."""
    ordered = sorted(values)
    found: dict[str, Any] = {"count": len(ordered)}
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        found[f"{name}_ms"] = round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1)
    found["max_ms"] = round(ordered[-1], 1)
    return found
