"""The topology and the load of the crash tests of whole workers. Law: seeded; what was sent is known to the byte.

One tick is one second of event time: an event, the labels that are due, and now and then what a careless team sends: a
malformed record, a label twice, a label that contradicts the first. Some labels never come.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from random import Random
from typing import Any

from confluent_kafka import KafkaError, Message, Producer
from river import linear_model, preprocessing, tree
from support.tiny import START, tiny

from streamml import Model, Snapshots, Topology
from streamml.engine.catalog import Catalog

PARTITIONS = 2
WINDOW = 250
EVERY = 400
RATE = 150
"""Events a second; nearly as many labels come with them."""


def weather(name: str) -> Topology:
    """The tiny topology with a tree beside the regression; small windows and snapshots, so that a kill meets many."""
    return tiny(
        name,
        models=(
            Model("lr", lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression()),
            Model("tree", lambda: tree.HoeffdingTreeClassifier(grace_period=50, delta=0.01)),
        ),
        snapshots=Snapshots(every=EVERY),
        window=WINDOW,
        partitions=PARTITIONS,
    )


def topology_file(folder: Path, name: str) -> Path:
    """A user's file that declares it."""
    file = folder / "weather.py"
    file.write_text(f"from crash.weather import weather\n\ntopology = weather({name!r})\n")
    return file


@dataclass
class Sent:
    """What was sent, and acknowledged; keys are the records' own."""

    events: dict[bytes, bytes] = field(default_factory=dict)
    labels: dict[bytes, bool] = field(default_factory=dict)
    """The first label of each id."""
    doubled: Counter[bytes] = field(default_factory=Counter)
    """Labels after the first of their id."""
    malformed: dict[bytes, tuple[str, bytes | None]] = field(default_factory=dict)
    """Role and value, each under a key of its own."""


class Load:
    """A producer of another team (librdkafka), at a steady rate in a thread of its own until `stop`."""

    def __init__(self, bootstrap: str, topology: Topology, seed: str) -> None:
        self.sent = Sent()
        self.ticks = 0
        self._topology = topology
        self._catalog = Catalog.in_memory(topology)
        self._random = Random(f"load {seed}")
        self._due: defaultdict[int, list[tuple[bytes, bool]]] = defaultdict(list)
        self._errors: list[str] = []
        # Idempotent, so that its own retries can neither double nor disorder anything.
        self._producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5})
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> Sent:
        """Send the labels that are still due; return once the broker has acknowledged everything."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join(60)
        for tick in sorted(self._due):
            self._labels(tick)
        return self.flush()

    def events(self, count: int) -> Sent:
        """Send `count` more events, whose labels never come."""
        for _ in range(count):
            self._event()
        return self.flush()

    def flush(self) -> Sent:
        left = self._producer.flush(60)
        assert not left, f"{left} records were not acknowledged"
        assert not self._errors, self._errors[:3]
        return self.sent

    def _run(self) -> None:
        started, first = time.monotonic(), self.ticks
        while not self._ending.wait(0.02):
            while self.ticks - first < (time.monotonic() - started) * RATE:
                self._tick()
            self._producer.poll(0)

    def _tick(self) -> None:
        key, value, wet = self._event()
        dice = self._random
        if dice.random() > 0.05:
            self._due[self.ticks + dice.randint(1, 300)].append((key, wet))
        self._labels(self.ticks)
        if dice.random() < 0.04:
            role = "events" if dice.random() < 0.6 else "feedback"
            good = value if role == "events" else self._label(key, wet, self.ticks)
            self._malformed(role, good)

    def _event(self) -> tuple[bytes, bytes, bool]:
        self.ticks += 1
        dice = self._random
        key = b"e%d" % self.ticks
        warm, high = dice.gauss(15, 8), dice.gauss(1010, 9)
        event = {"id": key.decode(), "at": self._time(self.ticks), "temperature": warm, "pressure": high}
        self.sent.events[key] = value = self._catalog.codec("events").encode(event)
        self._send("events", key, value)
        return key, value, warm - (high - 1010) / 2 + dice.gauss(0, 3) > 15

    def _labels(self, tick: int) -> None:
        for key, wet in self._due.pop(tick, ()):
            again = key in self.sent.labels
            if again:
                self.sent.doubled[key] += 1
            else:
                self.sent.labels[key] = wet
            self._send("feedback", key, self._label(key, wet, tick))
            if not again and self._random.random() < 0.04:
                self._due[tick + self._random.randint(1, 300)].append((key, wet ^ (self._random.random() < 0.5)))

    def _label(self, key: bytes, wet: bool, tick: int) -> bytes:
        return self._catalog.codec("feedback").encode({"id": key.decode(), "rain": wet, "at": self._time(tick)})

    def _malformed(self, role: str, good: bytes) -> None:
        dice = self._random
        kinds: list[bytes | None] = [None, b"", good[: len(good) * 2 // 3], good + b"\0", dice.randbytes(30)]
        if role == "events":
            event = {"id": "x", "at": START, "temperature": dice.choice([nan, 1e308, 61.0]), "pressure": 0.0}
            kinds.append(self._catalog.codec("events").encode(event))
        key, value = b"bad%d" % len(self.sent.malformed), dice.choice(kinds)
        self.sent.malformed[key] = role, value
        self._send(role, key, value)

    def _time(self, tick: int) -> int:
        return START + tick * 1_000

    def _send(self, role: str, key: bytes, value: bytes | None) -> None:
        self._producer.produce(self._topology.topic(role), value, key, on_delivery=self._delivered)

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._errors.append(str(error))


def describe(sent: Sent) -> dict[str, Any]:
    """The figures of a load."""
    return {
        "events": len(sent.events),
        "labels": len(sent.labels),
        "doubled labels": sent.doubled.total(),
        "malformed": len(sent.malformed),
    }
