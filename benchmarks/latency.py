"""End-to-end latency: from an event handed to its producer to its prediction in the hands of a read_committed
consumer."""

from __future__ import annotations

import threading
import time
from typing import Any

from confluent_kafka import Consumer, Producer

from benchmarks.load import frame
from benchmarks.phishing import EVENT, LABEL, START, id_of, rows
from benchmarks.worker import worker

DELAY = 1_000


def latency(bootstrap: str, app: str, rate: int, seconds: int) -> dict[str, Any]:
    """Produce `rate` events a second for `seconds`, each label `DELAY` events later; the first 2 s are not counted.

    Returns:
        p50, p95, p99 and the greatest latency in ms, and the worker's CPU microseconds per event.
    """
    with worker(bootstrap, app) as here:
        sent: dict[bytes, float] = {}
        seen: dict[bytes, float] = {}
        count = rate * seconds
        reader = threading.Thread(target=_read, args=(bootstrap, app, count, seen))
        reader.start()
        before = here.cpu_seconds()
        _produce(bootstrap, app, rate, count, sent)
        reader.join()
        used = here.cpu_seconds() - before
    late = sorted(1e3 * (seen[key] - at) for key, at in list(sent.items())[2 * rate :] if key in seen)
    return {
        "rate": rate,
        "events": count,
        "counted": len(late),
        "p50_ms": round(late[len(late) // 2], 1),
        "p95_ms": round(late[int(len(late) * 0.95)], 1),
        "p99_ms": round(late[int(len(late) * 0.99)], 1),
        "max_ms": round(late[-1], 1),
        "cpu_us_per_event": round(1e6 * used / count, 1),
    }


def _produce(bootstrap: str, app: str, rate: int, count: int, sent: dict[bytes, float]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})
    event, label = frame(f"{app}.events", EVENT), frame(f"{app}.feedback", LABEL)
    begun = time.monotonic()
    answers: list[bool] = []
    for place, (x, y) in enumerate(rows(count)):
        due = begun + place / rate
        while (left := due - time.monotonic()) > 0:
            producer.poll(min(left, 0.001))
        key, now = id_of(place).encode(), START + place
        answers.append(y)
        value = event({"id": id_of(place), "time": now, **x})
        sent[key] = time.monotonic()
        producer.produce(f"{app}.events", value, key)
        if place >= DELAY:
            earlier = place - DELAY
            answer = {"id": id_of(earlier), "is_phishing": answers[earlier], "time": now}
            producer.produce(f"{app}.feedback", label(answer), id_of(earlier))
    producer.flush(30)


def _read(bootstrap: str, app: str, count: int, seen: dict[bytes, float]) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"{app}.latency",
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 5,
        }
    )
    consumer.subscribe([f"{app}.predictions"])
    end = time.monotonic() + 60 + count / 500
    while len(seen) < count and time.monotonic() < end:
        message = consumer.poll(1.0)
        if message is not None and message.error() is None:
            seen[message.key() or b""] = time.monotonic()
    consumer.close()
