"""What one would write by hand: a transactional aiokafka loop that predicts, joins labels in a dict, and learns.

    python benchmarks/peer_aiokafka.py --bootstrap HOST:PORT --app NAME [--events N] [--interval-ms MS]

It drains the topics that `benchmarks/load.py` has filled: events in, predictions out, with the offsets in the same
transaction (one each `interval-ms` or 500 records, whichever is longer). Exactly once for the predictions; what waits
for its label is lost in a crash, and so is the model. Prints one line of JSON; `cpu_us_per_event` is the CPU time of
this process from the first fetch to the last commit, Kafka's client included and the start-up of Python left out.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import resource
import time
from collections.abc import Sequence
from typing import Any

import fastavro
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.phishing import EVENT, LABEL, model

PREDICTION: dict[str, Any] = {
    "type": "record",
    "name": "Prediction",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "label", "type": "boolean"},
        {"name": "probability", "type": "double"},
        {"name": "learned", "type": "long"},
    ],
}
_HEADER = b"\x00" + (1).to_bytes(4, "big")
_AT_LEAST = 500
_AT_ONCE = 500
_PATIENCE = 30.0

Output = tuple[bytes, bytes, int]


class Loop:
    """The model and what waits for its label, as two dicts: whichever of an event and its label comes second completes
    it."""

    def __init__(self) -> None:
        self.river = model()
        self.held: dict[str, dict[str, float]] = {}
        self.early: dict[str, bool] = {}
        self.events = self.labels = self.learned = 0
        self._event, self._label = fastavro.parse_schema(_plain(EVENT)), fastavro.parse_schema(_plain(LABEL))
        self._prediction = fastavro.parse_schema(PREDICTION)

    def on_events(self, records: Sequence[Any]) -> list[Output]:
        outputs = []
        predict, read, write = self.river.predict_proba_one, fastavro.schemaless_reader, fastavro.schemaless_writer
        for record in records:
            event: Any = read(io.BytesIO(record.value[5:]), self._event, None)
            name = event.pop("id")
            del event["time"]
            chance = predict(event)[True]
            buffer = io.BytesIO()
            buffer.write(_HEADER)
            said = {"id": name, "label": chance > 0.5, "probability": chance, "learned": self.learned}
            write(buffer, self._prediction, said)
            outputs.append((record.key, buffer.getvalue(), record.timestamp))
            if name in self.early:
                self.learn(event, self.early.pop(name))
            else:
                self.held[name] = event
        self.events += len(records)
        return outputs

    def on_labels(self, records: Sequence[Any]) -> None:
        for record in records:
            label: Any = fastavro.schemaless_reader(io.BytesIO(record.value[5:]), self._label, None)
            name = label["id"]
            if name in self.held:
                self.learn(self.held.pop(name), label["is_phishing"])
            else:
                self.early[name] = label["is_phishing"]
        self.labels += len(records)

    def learn(self, x: dict[str, float], y: bool) -> None:
        self.river.learn_one(x, y)
        self.learned += 1


async def drain(bootstrap: str, app: str, events: int, interval: float) -> dict[str, object]:
    """Read `events` events and as many labels, and commit all predictions."""
    inputs, output, group = [f"{app}.events", f"{app}.feedback"], f"{app}.by-hand", f"{app}.by-hand"
    consumer = AIOKafkaConsumer(
        *inputs,
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 << 20,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        transactional_id=f"{group}-0",
        max_batch_size=1_000_000,
        retry_backoff_ms=20,
        linger_ms=0,
    )
    await _create(bootstrap, output)
    await consumer.start()
    await producer.start()
    loop, transactions = Loop(), 0
    try:
        before, wall = _cpu(), time.monotonic()
        last = wall
        while loop.events < events or loop.labels < events:
            if await transact(loop, consumer, producer, inputs, output, group, interval):
                transactions, last = transactions + 1, time.monotonic()
            elif time.monotonic() - last > _PATIENCE:
                raise SystemExit(
                    f"{app}: after {loop.events} events and {loop.labels} labels nothing came for {_PATIENCE:.0f} s, "
                    f"expected {events} of each; fill new topics with benchmarks/load.py"
                )
        used, wall = _cpu() - before, time.monotonic() - wall
    finally:
        await producer.stop()
        await consumer.stop()
    return {
        "peer": "aiokafka",
        "events": events,
        "cpu_us_per_event": round(1e6 * used / events, 3),
        "cpu_us_per_event_with_start": round(1e6 * _cpu() / events, 3),
        "events_per_second": round(events / wall),
        "learned": loop.learned,
        "transactions": transactions,
    }


async def transact(
    loop: Loop,
    consumer: AIOKafkaConsumer,
    producer: AIOKafkaProducer,
    inputs: Sequence[str],
    output: str,
    group: str,
    interval: float,
) -> bool:
    """One transaction: whatever comes in `interval` seconds, at least 500 records if there are as many; false if
    nothing came."""
    offsets: dict[TopicPartition, int] = {}
    outputs: list[Output] = []
    taken, end = 0, time.monotonic() + interval
    while time.monotonic() < end or 0 < taken < _AT_LEAST:
        before = taken
        # One after the other: a plain getmany() may empty one topic before it looks at the next, and then labels come
        # ahead of their events.
        for topic in inputs:
            parts = [part for part in consumer.assignment() if part.topic == topic]
            for part, records in (await consumer.getmany(*parts, timeout_ms=20, max_records=_AT_ONCE)).items():
                if topic == inputs[0]:
                    outputs += loop.on_events(records)
                else:
                    loop.on_labels(records)
                offsets[part] = records[-1].offset + 1
                taken += len(records)
        if taken == before:
            break
    if not offsets:
        return False
    await producer.begin_transaction()
    sent = []
    batch = producer.create_batch()
    for key, value, timestamp in outputs:
        if batch.append(key=key, value=value, timestamp=timestamp) is None:
            sent.append(await producer.send_batch(batch, output, partition=0))
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=timestamp)
    if batch.record_count():
        sent.append(await producer.send_batch(batch, output, partition=0))
    await asyncio.gather(*sent)
    await producer.send_offsets_to_transaction(offsets, group)
    await producer.commit_transaction()
    return True


async def _create(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        if topic not in await admin.list_topics():
            await admin.create_topics([NewTopic(topic, 1, 1)])
    finally:
        await admin.close()


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with plain numbers for times: nobody here looks at them, and making datetimes is slow."""
    fields = [{**field, "type": "long"} if field["name"] == "time" else field for field in schema["fields"]]
    return {**schema, "fields": fields}


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--app", required=True)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--interval-ms", type=int, default=100)
    wanted = parser.parse_args()
    found = asyncio.run(drain(wanted.bootstrap, wanted.app, wanted.events, wanted.interval_ms / 1_000))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
