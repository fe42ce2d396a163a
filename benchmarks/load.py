"""Fills the topics `<app>.events` and `<app>.feedback`: the label of an event stands in its topic as the event `delay`
later arrives.

    python benchmarks/load.py --bootstrap HOST:PORT --app NAME [--events N] [--delay N] [--partitions P]
"""

from __future__ import annotations

import argparse
import io
import json
import time
from typing import Any

import fastavro
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from benchmarks.phishing import EVENT, LABEL, START, id_of, rows
from streamml.schemas import Registry


def fill(bootstrap: str, app: str, events: int, delay: int = 1_000, partitions: int = 1) -> float:
    """Create the two topics if they are missing and produce `events` events and as many labels, in Avro with
    Confluent's header.

    Returns:
        The seconds it took.
    """
    begun = time.monotonic()
    admin = AdminClient({"bootstrap.servers": bootstrap})
    topics = [f"{app}.events", f"{app}.feedback"]
    present = admin.list_topics(timeout=30).topics
    missing = [NewTopic(topic, partitions, replication_factor=1) for topic in topics if topic not in present]
    if missing:
        for future in admin.create_topics(missing, operation_timeout=30).values():
            future.result(30)
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 20,
            "batch.num.messages": 2_000,
            "queue.buffering.max.messages": 200_000,
            "enable.idempotence": True,
        }
    )
    event, label = frame(topics[0], EVENT), frame(topics[1], LABEL)
    answers: list[tuple[str, bool]] = []
    for place, (x, y) in enumerate(rows(events)):
        name, now = id_of(place), START + place
        answers.append((name, y))
        _send(producer, topics[0], name, event({"id": name, "time": now, **x}), now)
        if place >= delay:
            _answer(producer, topics[1], label, *answers[place - delay], now)
    for place in range(max(0, events - delay), events):
        _answer(producer, topics[1], label, *answers[place], START + place + delay)
    if left := producer.flush(60):
        raise SystemExit(f"{left} records were not written to {bootstrap} within 60 s; is the broker up?")
    return time.monotonic() - begun


def _answer(producer: Producer, topic: str, label: Any, name: str, y: bool, now: int) -> None:
    _send(producer, topic, name, label({"id": name, "is_phishing": y, "time": now}), now)


def _send(producer: Producer, topic: str, key: str, value: bytes, timestamp: int) -> None:
    while True:
        try:
            producer.produce(topic, value, key, timestamp=timestamp)
            return
        except BufferError:
            producer.poll(0.1)


def frame(topic: str, schema: dict[str, Any]) -> Any:
    """A function from a value to its bytes in `topic`."""
    header = b"\x00" + Registry().register(f"{topic}-value", schema).to_bytes(4, "big")
    parsed = fastavro.parse_schema(schema)

    def write(value: dict[str, Any]) -> bytes:
        buffer = io.BytesIO()
        buffer.write(header)
        fastavro.schemaless_writer(buffer, parsed, value)
        return buffer.getvalue()

    return write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--app", required=True)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--delay", type=int, default=1_000)
    parser.add_argument("--partitions", type=int, default=1)
    wanted = parser.parse_args()
    seconds = fill(wanted.bootstrap, wanted.app, wanted.events, wanted.delay, wanted.partitions)
    print(json.dumps({"app": wanted.app, "events": wanted.events, "seconds": round(seconds, 3)}))


if __name__ == "__main__":
    main()
