"""A producer of another team, in a process of its own. Law: it sends every tick's records once, however long the broker
is away, in event time that keeps step with the wall clock.

Usage: python -m chaos.sender SEED PRODUCER PRODUCERS RATE EPOCH BOOTSTRAP APP CONDITIONS. SIGTERM ends
it: what is not due by then is never sent. One JSON line tells how many ticks there were, and until when.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections import Counter
from heapq import heappop, heappush
from typing import Any

from chaos.storm import storm
from chaos.ticks import Framing, Outgoing, Pace, Ticks
from confluent_kafka import KafkaError, Message, Producer
from support.tiny import START

from streamml import Topology
from streamml.engine.catalog import Catalog

PARTITIONERS = ("murmur2_random", "consistent_random")
"""Java's and librdkafka's own. Even producers have the first for events and the second for labels; odd ones, not so."""

_HELD = 400_000
"""Records that may wait for a broker; then time stands still here."""


def framing(topology: Topology) -> Framing:
    """The headers by which a worker of this topology knows its schemas."""
    catalog = Catalog.in_memory(topology)
    return Framing(catalog.codec("events").header, catalog.codec("feedback").header)


def partitioner(producer: int, role: str) -> str:
    """Which of the two a producer has for this topic."""
    return PARTITIONERS[(producer + (role == "feedback")) % 2]


class Sender:
    """Ticks on the wall clock until `ending` is set."""

    def __init__(self, seed: int, producer: int, pace: Pace, epoch: float, bootstrap: str, topology: Topology) -> None:
        self._ticks = Ticks(seed, producer, pace, framing(topology))
        self._producer = producer
        self._pace = pace
        self._epoch = epoch
        self._topics = {role: topology.topic(role) for role in ("events", "feedback")}
        self._clients = {role: self._client(bootstrap, role) for role in self._topics}
        self._due: list[tuple[int, int, Outgoing]] = []
        self._count = 0
        self._sent: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self.ending = threading.Event()

    def _client(self, bootstrap: str, role: str) -> Producer:
        return Producer(
            {
                "bootstrap.servers": bootstrap,
                "partitioner": partitioner(self._producer, role),
                "enable.idempotence": True,
                "message.timeout.ms": 0,
                "linger.ms": 10,
                "queue.buffering.max.messages": _HELD,
                "reconnect.backoff.max.ms": 500,
                "log_level": 2,
            }
        )

    def run(self) -> dict[str, Any]:
        """Returns what was sent, once all of it is acknowledged."""
        tick, now = 0, START
        while not self.ending.wait(0.01):
            now = START + int((time.time() - self._epoch) * 1_000)
            while self._pace.time(self._producer, tick) <= now:
                for out in self._ticks.at(tick):
                    self._count += 1
                    heappush(self._due, (out.due, self._count, out))
                tick += 1
            self._send(now)
        left = sum(client.flush(120) for client in self._clients.values())
        return {
            "producer": self._producer,
            "ticks": tick,
            "until": now,
            "sent": self._sent.total(),
            "failed": self._failed,
            "left": left,
        }

    def _send(self, now: int) -> None:
        while self._due and self._due[0][0] <= now:
            out = heappop(self._due)[2]
            client, topic = self._clients[out.role], self._topics[out.role]
            while True:
                try:
                    client.produce(topic, out.value, out.key, on_delivery=self._delivered)
                    break
                except BufferError:
                    client.poll(0.1)
            self._sent[out.role] += 1
        for client in self._clients.values():
            client.poll(0)

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed[str(error)] += 1


def main() -> int:
    seed, producer, producers, rate, epoch, bootstrap, app, conditions = sys.argv[1:]
    pace = Pace(float(rate), int(producers))
    sender = Sender(int(seed), int(producer), pace, float(epoch), bootstrap, storm(app, conditions))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sender.ending.set())
    print(json.dumps(sender.run()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
