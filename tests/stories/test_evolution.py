"""Producers move their schemas on under a running worker: what can be read is served, what cannot be is set aside."""

from __future__ import annotations

import asyncio
import io
import json
import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import fastavro
import pytest
from confluent_kafka.schema_registry import ConfigCompatibilityLevel, Schema, SchemaRegistryClient, ServerConfig
from support.kafka import produce, read_all
from support.processes import Process, eventually, get, running
from support.tiny import START, event, label, tiny

from streamml import Events, Topology, Transform
from streamml.engine.catalog import Catalog
from streamml.engine.rebuild import Replay
from streamml.runtime.connection import Connection
from streamml.runtime.registry_topic import TopicRegistry
from streamml.schemas import Codec, Registry, schema_id_of
from streamml.topology import load_topology

pytestmark = pytest.mark.kafka


def schema(**types: Any) -> dict[str, Any]:
    """Version of an event, by its fields' types; those that may be null have it as a default."""
    fields = [
        {"name": name, "type": kind, **({"default": None} if isinstance(kind, list) else {})}
        for name, kind in {"id": "string", "at": "long", **types}.items()
    ]
    return {"type": "record", "name": "Weather", "fields": fields}


OPTIONAL = ["null", "string"]
FIRST = schema(count="int", warm="float", note=OPTIONAL)
DECLARED = schema(count="long", warm="double", note=OPTIONAL)
"""What the topology reads: it promotes an int and a float."""

STATION = {"name": "station", "type": "string", "default": "-"}
GROWN = {**schema(count="long", warm="double"), "fields": [STATION, *schema(count="long", warm="double")["fields"]]}
"""A field more, with a default, before all others; and the optional one is gone."""

MOVED = {
    "count is gone": (schema(warm="double"), "count"),
    "warm is text": (schema(count="long", warm="string"), "warm"),
}

DECLARATION = """
from streamml import Events, Transform
from support.tiny import tiny

topology = tiny(NAME, events=Events(SCHEMA, id="id", time="at"), transform=Transform("count", "warm"), rules=(),
                detectors=(), partitions=2)
"""


class ServerSide:
    """A registry server, through the client of others."""

    def __init__(self, url: str, app: str) -> None:
        self.options = ("--registry", url)
        self._client = SchemaRegistryClient({"url": url})
        self._subject = f"{app}.events-value"

    def register(self, version: Mapping[str, Any]) -> int:
        return int(self._client.register_schema(self._subject, Schema(json.dumps(version), "AVRO")))

    def force(self, version: Mapping[str, Any]) -> int:
        """As an outsider does who has turned the compatibility off."""
        self._client.set_config(self._subject, ServerConfig(compatibility=ConfigCompatibilityLevel.NONE))
        return self.register(version)

    def close(self) -> None:
        self._client.close()

    def id_of(self, subject: str) -> int:
        return int(self._client.get_latest_version(subject).schema_id or 0)


class TopicSide:
    """The topic `<app>.schemas`."""

    def __init__(self, bootstrap: str, app: str) -> None:
        self.options: tuple[str, ...] = ()
        self._bootstrap = bootstrap
        self._app = app
        self._forced = 0

    def register(self, version: Mapping[str, Any]) -> int:
        async def register() -> int:
            store = TopicRegistry(self._app, Connection(self._bootstrap))
            try:
                await store.load()
                return await store.register(f"{self._app}.events-value", version)
            finally:
                await store.close()

        return asyncio.run(register())

    def force(self, version: Mapping[str, Any]) -> int:
        """As an outsider does who writes to the topic himself."""
        self._forced += 1
        number, subject = 10 + self._forced, f"{self._app}.events-value"
        schema_id = 900_000 + number
        entry = {"subject": subject, "version": number, "id": schema_id, "schema": version}
        produce(self._bootstrap, f"{self._app}.schemas", [(f"{subject}/{number}".encode(), json.dumps(entry).encode())])
        return schema_id

    def close(self) -> None:
        return

    def id_of(self, subject: str) -> int:
        held = (json.loads(m.value() or b"") for m in read_all(self._bootstrap, f"{self._app}.schemas"))
        return int(max((e for e in held if e["subject"] == subject), key=lambda e: e["version"])["id"])


def framed(schema_id: int, version: Mapping[str, Any], value: Mapping[str, Any]) -> bytes:
    """The value in Confluent's wire format, by the library of others."""
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(dict(version)), dict(value))
    return b"\0" + schema_id.to_bytes(4, "big") + body.getvalue()


def reading(number: int, **more: Any) -> dict[str, Any]:
    """An event, exact in single precision."""
    return {"id": str(number), "at": START + number, "count": number, "warm": number / 4, **more}


@pytest.mark.parametrize("where", ["topic", pytest.param("server", marks=pytest.mark.registry)])
def test_producers_move_on_under_a_running_worker(
    kafka: str, app_name: str, tmp_path: Path, request: pytest.FixtureRequest, where: str
) -> None:
    topology = tiny(
        app_name, events=Events(DECLARED, id="id", time="at"), transform=Transform("count", "warm"), detectors=()
    )
    side: ServerSide | TopicSide = (
        ServerSide(request.getfixturevalue("registry"), app_name) if where == "server" else TopicSide(kafka, app_name)
    )
    file = tmp_path / "weather.py"
    file.write_text(DECLARATION.replace("NAME", repr(app_name)).replace("SCHEMA", repr(DECLARED)))

    def send(schema_id: int, version: Mapping[str, Any], *values: Mapping[str, Any]) -> None:
        rows = [(str(v["id"]).encode(), framed(schema_id, version, v)) for v in values]
        produce(kafka, f"{app_name}.events", rows)

    def until(role: str, count: int) -> list[Any]:
        return eventually(lambda: read_all(kafka, f"{app_name}.{role}"), lambda found: len(found) >= count)

    # The producer was there before the topology, with narrower numbers.
    first = side.register(FIRST)
    run = ("-m", "streamml", "run", str(file), "--apply", "--web-port", "0", "--bootstrap", kafka, *side.options)
    with running(*run) as worker:
        page = worker.line("status on ").rpartition("status on ")[2].split()[0].rstrip("/")
        eventually(lambda: get(f"{page}/ready")[0], lambda status: status == 200)
        send(first, FIRST, *(reading(n, note="x" if n % 2 else None) for n in range(4)))
        until("predictions", 4)

        declared = side.id_of(f"{app_name}.events-value")
        assert declared != first
        send(declared, DECLARED, *(reading(n, count=n << 40, note=None) for n in range(4, 8)))
        grown = side.register(GROWN)
        send(grown, GROWN, *(reading(n, station="s") for n in range(8, 12)))
        send(first, FIRST, reading(12, note=None))
        until("predictions", 13)

        # What an outsider forces on the subject, and ids of another subject and of nobody.
        for version, _ in MOVED.values():
            forced = side.force(version)
            send(forced, version, {**reading(100), "warm": "7" if version["fields"][-1]["type"] == "string" else 7.0})
        label_id = side.id_of(f"{app_name}.feedback-value")
        send(label_id, DECLARED, reading(101, note=None))
        send(0x7FFFFFF0, DECLARED, reading(102, note=None))
        send(grown, GROWN, *(reading(n, station="s") for n in range(13, 16)))
        until("quarantine", 4)
        predictions = until("predictions", 16)
        assert eventually(lambda: get(f"{page}/health")[0]) == 200

    assert sorted(int(m.key() or b"") for m in predictions) == list(range(16))
    assert not [line for line in worker.lines if "Traceback" in line or " lost" in line or " ERROR " in line]
    assert seen(topology, kafka, side.id_of) == {
        n: {"count": float(n << 40 if 4 <= n < 8 else n), "warm": n / 4} for n in range(16)
    }
    side.close()
    reasons = [why(topology, m) for m in read_all(kafka, f"{app_name}.quarantine")]
    said = sorted((r["rule"], r["error"]) for r in reasons)
    assert [rule for rule, _ in said] == ["schema", "schema", "schema_id", "schema_id"]
    for error, (_, field) in zip((error for _, error in said), MOVED.values(), strict=False):
        assert field in error
    assert all(f"is not of {app_name}.events-value; expected one of its versions: " in error for _, error in said[2:])


def seen(topology: Topology, bootstrap: str, id_of: Callable[[str], int]) -> dict[int, dict[str, Any]]:
    """The features of each event."""
    name = topology.topic("features")
    codec = Codec(Catalog.in_memory(topology).schema("features"), id_of(f"{name}-value"))
    found = [codec.decode(message.value()) for message in read_all(bootstrap, name)]
    return {int(features["id"]): features["values"] for features in found}


def why(topology: Topology, message: Any) -> dict[str, Any]:
    """The reason of a refused record, whichever registry gave the id of its schema."""
    reason = dict(message.headers())["streamml.quarantine"]
    return Codec(Catalog.in_memory(topology).schema("quarantine"), schema_id_of(reason)).decode(reason)


UPGRADED = """
from streamml import Events, Feature, Transform
from support.tiny import EVENT, tiny

DAMP = {"name": "damp", "type": ["null", "double"], "default": None}
topology = tiny(NAME, events=Events({**EVENT, "fields": [*EVENT["fields"], DAMP]}, id="id", time="at"),
                transform=Transform("temperature", Feature("damp", optional=True), "pressure"), partitions=2)
"""


def test_a_topology_is_upgraded_process_by_process(kafka: str, app_name: str, tmp_path: Path) -> None:
    """The old join goes on among the new ones and loses no feature; the old learner learns what the new one would."""
    old, new = tmp_path / "old.py", tmp_path / "new.py"
    old.write_text(f"from support.tiny import tiny\n\ntopology = tiny({app_name!r}, partitions=2)\n")
    new.write_text(UPGRADED.replace("NAME", repr(app_name)))
    before, after = load_topology(str(old)), load_topology(str(new))
    registry = Registry()
    earlier, later = Catalog.in_memory(before, registry), Catalog.in_memory(after, registry)

    def start(file: Path, only: str) -> AbstractContextManager[Process]:
        options = ("--apply", "--web-port", "0", "--bootstrap", kafka, "--only", only)
        return running("-m", "streamml", "run", str(file), *options)

    def ready(process: Process) -> None:
        page = process.line("status on ").rpartition("status on ")[2].split()[0].rstrip("/")
        eventually(lambda: get(f"{page}/ready")[0], lambda status: status == 200)

    def send(catalog: Catalog, numbers: range, **more: Any) -> None:
        for role, make, extra in (("events", event, more), ("feedback", label, {})):
            rows = [(b"%d" % n, catalog.codec(role).encode({**make(n), **extra})) for n in numbers]
            produce(kafka, f"{app_name}.{role}", rows)

    def until(role: str, count: int) -> list[Any]:
        return eventually(lambda: read_all(kafka, f"{app_name}.{role}"), lambda found: len(found) >= count)

    with start(old, "match,detect,govern") as join:
        ready(join)
        with start(old, "score,learn") as leaving:
            ready(leaving)
            send(earlier, range(25))
            until("examples", 25)
            until("models", 2)
            with start(new, "score,learn") as arriving:
                ready(arriving)
                send(later, range(25, 45), damp=0.5)
                until("examples", 45)
                assert leaving.end(signal.SIGTERM) == 0
                send(later, range(45, 60), damp=1.5)
                examples = until("examples", 60)
                assert arriving.end(signal.SIGTERM) == 0
        assert join.end(signal.SIGTERM) == 0

    assert not [line for p in (join, leaving, arriving) for line in p.lines if " ERROR " in line or "Traceback" in line]

    predictions = [later.codec("predictions").decode(m.value()) for m in read_all(kafka, f"{app_name}.predictions")]
    assert sorted(int(p["id"]) for p in predictions) == list(range(60))
    assert sorted(int(m.key() or b"") for m in examples) == list(range(60))
    seen = {f["id"]: f["values"] for f in features_of(later, kafka)}
    wet = {n for n, values in seen.items() if values["damp"] is not None}
    assert set(map(str, range(45, 60))) <= wet
    for message in examples:
        example = later.codec("examples").decode(message.value())
        assert example["features"]["values"] == seen[example["label"]["id"]]

    # And whoever served it, each prediction is that of the model at its position in this log of two versions.
    for model in after.models:
        replay = Replay(model, after.target, later.examples, [m.value() for m in examples])
        for said in sorted((p for p in predictions if p["model"] == model.name), key=lambda p: int(p["position"])):
            x = {name: value for name, value in seen[said["id"]].items() if value is not None}
            assert replay.predict(said["position"], x) == said["output"]


def features_of(catalog: Catalog, bootstrap: str) -> list[dict[str, Any]]:
    """The features of whichever version, as `catalog` reads them."""
    decode = catalog.codec("features").decode
    return [decode(m.value()) for m in read_all(bootstrap, catalog.topology.topic("features"))]
