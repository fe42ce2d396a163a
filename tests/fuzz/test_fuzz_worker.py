"""Ten thousand mutated records against a running worker: it does not die, and each record is predicted or in
quarantine, byte for byte."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any, Literal

import fastavro
import orjson
import pytest
from confluent_kafka import KafkaError, Message, Producer
from fuzz.fields import event, fuzzed, topology_file
from fuzz.mutations import Odd, odd
from support.kafka import read_all
from support.processes import Process, eventually, get, get_json, running
from support.tiny import label

from streamml import Topology
from streamml.agents.quarantine import ERROR, REASON
from streamml.engine.catalog import Catalog

pytestmark = pytest.mark.kafka

SEED = 20_261_124
MUTANTS = 10_000
"""Nine of ten are sent as events, one as feedback."""

EARLY = 500
"""Good events among them."""

Place = tuple[str, int, int]


class Bench:
    """The producer outside, and what it has sent by where it landed."""

    def __init__(self, bootstrap: str, topology: Topology) -> None:
        self.topology = topology
        self.catalog = Catalog.in_memory(topology)
        self.landed: dict[Place, Odd] = {}
        self._refused: list[str] = []
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "enable.idempotence": True})

    def encode(self, role: str, value: Mapping[str, Any]) -> bytes:
        if self.topology.events.format == "json":
            return orjson.dumps(dict(value))
        return self.catalog.codec(role).encode({**value, "raw": b"abc"} if role == "events" else value)

    def send(self, role: str, what: Odd) -> None:
        def landed(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self._refused.append(str(error))
            else:
                self.landed[place(message)] = what._replace(timestamp=message.timestamp()[1])

        self._producer.produce(
            self.topology.topic(role),
            what.value,
            what.key,
            headers=list(what.headers),
            timestamp=what.timestamp,
            on_delivery=landed,
        )
        self._producer.poll(0)

    def flush(self) -> None:
        assert not self._producer.flush(60)
        assert not self._refused, self._refused[:3]

    def of(self, role: str) -> dict[Place, Odd]:
        """What landed in the topic of a role."""
        return {at: what for at, what in self.landed.items() if at[0] == self.topology.topic(role)}


def place(message: Message) -> Place:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    return topic, partition, offset


def storm(bench: Bench, alive: Callable[[], None]) -> set[str]:
    """Send the mutants, with a good event and its label after each twenty of them; the ids of the good events."""
    dice = Random(SEED)
    events = [bench.encode("events", event(n, f"m{n}")) for n in range(300)]
    labels = [bench.encode("feedback", {**label(n), "id": f"m{n}"}) for n in range(300)]
    good: set[str] = set()
    for number in range(MUTANTS):
        if number % 10:
            bench.send("events", odd(dice, events))
        else:
            bench.send("feedback", odd(dice, labels))
        if number % (MUTANTS // EARLY) == 0:
            id = f"good{len(good)}"
            good.add(id)
            bench.send("events", Odd(id.encode(), bench.encode("events", event(len(good), id)), []))
            bench.send("feedback", Odd(id.encode(), bench.encode("feedback", {**label(len(good)), "id": id}), []))
        if number % 1_000 == 999:
            alive()
    bench.flush()
    return good


def calm(bootstrap: str, bench: Bench, good: set[str]) -> None:
    """After the storm: an event and its label become an example, in each partition and as before."""
    ids = {f"after{number}" for number in range(20)}
    for number, id in enumerate(sorted(ids)):
        bench.send("events", Odd(id.encode(), bench.encode("events", event(number, id)), []))
        bench.send("feedback", Odd(id.encode(), bench.encode("feedback", {**label(number), "id": id}), []))
    bench.flush()
    good |= ids

    def learned() -> set[str]:
        return {(m.key() or b"").decode() for m in read_all(bootstrap, bench.topology.topic("examples"))}

    eventually(learned, lambda found: found >= good, patience=20)


def read_id(topology: Topology, value: bytes | None) -> str:
    """The id of a valid event, by a reader that is not streamml's."""
    assert value is not None
    if topology.events.format == "json":
        return str(orjson.loads(value)["id"])
    schema: Any = topology.events.schema
    found: Any = fastavro.schemaless_reader(BytesIO(value[5:]), schema, None)
    return str(found["id"])


def settled(bootstrap: str, bench: Bench, url: str) -> None:
    """Return once the worker has nothing left to read, and as many records came out as went in."""
    eventually(lambda: get_json(f"{url}/status.json"), lambda s: not any(task["lag"] for task in s["tasks"]))
    topic, sent = bench.topology.topic, len(bench.of("events"))

    def answered() -> dict[str, int]:
        refused = [r for r in read_all(bootstrap, topic("quarantine")) if reason(bench, r)["topic"] == topic("events")]
        predictions = read_all(bootstrap, topic("predictions"))
        return {"events sent": sent, "predicted": len(predictions), "refused": len(refused)}

    eventually(answered, lambda n: n["predicted"] + n["refused"] >= n["events sent"], patience=20)


def reason(bench: Bench, message: Message) -> dict[str, Any]:
    """Why a record is in quarantine: the last two headers are ours, whatever those before them pretend to be."""
    return bench.catalog.codec("quarantine").decode(headers_of(message)[-2][1])


def headers_of(message: Message) -> list[tuple[str, Any]]:
    """A value may be absent."""
    headers: Any = message.headers()
    return list(headers or [])


@pytest.mark.parametrize("format", ["avro", "json"])
def test_mutated_records(kafka: str, app_name: str, tmp_path: Path, format: Literal["avro", "json"]) -> None:
    topology = fuzzed(app_name, format)
    bench = Bench(kafka, topology)
    file = topology_file(tmp_path, app_name, format)
    run = ["run", str(file), "--apply", "--bootstrap", kafka, "--web-port", "0", "--log-format", "text"]
    with running("-m", "streamml", *run) as process:
        url = process.line("status on ").rpartition("status on ")[2].rstrip("/")
        eventually(lambda: get(f"{url}/ready")[0], lambda status: status == 200)

        def alive() -> None:
            assert get(f"{url}/health")[0] == 200

        good = storm(bench, alive)
        settled(kafka, bench, url)
        alive()
        calm(kafka, bench, good)
        assert get_json(f"{url}/ready")["ready"]
        assert all(task["sessions_lost"] == 0 for task in get_json(f"{url}/status.json")["tasks"])
        quiet_end(process)

    refused = untouched(kafka, bench)
    predicted = Counter((m.key() or b"").decode() for m in read_all(kafka, topology.topic("predictions")))
    valid = {at: what for at, what in bench.of("events").items() if at not in refused}
    assert predicted == Counter(read_id(topology, what.value) for what in valid.values())
    assert {id: predicted[id] for id in good} == dict.fromkeys(good, 1)
    taken = Counter((m.key() or b"").decode() for m in read_all(kafka, topology.topic("labels")))
    assert taken.total() == sum(at not in refused for at in bench.of("feedback"))
    assert taken.keys() >= good

    rules = Counter(why["rule"] for why in refused.values())
    print(f"\n{format}: {len(bench.of('events'))} events, {len(bench.of('feedback'))} labels sent")
    print(f"{predicted.total()} predicted, {taken.total()} labels taken, {len(refused)} refused: {dict(rules)}")
    kinds = {"avro": {"truncated", "magic", "schema_id", "malformed", "trailing", "finite"}, "json": {"json", "schema"}}
    assert rules.keys() >= kinds[format] | {"empty", "event_time"}
    assert predicted.total() - len(good) > MUTANTS // 50, "too few mutants are valid: both ways must be tried"


def untouched(bootstrap: str, bench: Bench) -> dict[Place, dict[str, Any]]:
    """The refused records of the outside topics with their reasons, each once and exactly as it was sent."""
    found: dict[Place, dict[str, Any]] = {}
    for message in read_all(bootstrap, bench.topology.topic("quarantine")):
        why = reason(bench, message)
        at = (why["topic"], why["partition"], why["offset"])
        if why["topic"] == bench.topology.topic("labels"):
            continue  # A valid label that no event wants, refused by `match`.
        assert at not in found, f"{at} was refused twice"
        found[at] = why
        sent = bench.landed[at]
        headers = headers_of(message)
        assert (message.key(), message.value(), message.timestamp()[1]) == (sent.key, sent.value, sent.timestamp), at
        assert headers[:-2] == sent.headers, at
        assert [name for name, _ in headers[-2:]] == [REASON, ERROR]
        assert b"\n" not in headers[-1][1]
    return found


def quiet_end(process: Process) -> None:
    """It was the same process all along; its log complains of the producers, and of nothing else."""
    assert process.end(signal.SIGTERM) == 0
    loud = [line for line in process.lines if any(word in line for word in ("Traceback", "ERROR", "WARNING"))]
    alerts = [line for line in loud if "WARNING alert " in line]
    assert loud == alerts
    assert any("quarantine_rate" in line for line in alerts)
