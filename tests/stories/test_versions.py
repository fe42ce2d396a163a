"""Schemas move on while logs stay: a producer's under a running worker, and our own from one start to the next."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.kafka import produce, read_all
from support.processes import eventually, get, running
from support.tiny import EVENT, LABEL, event, label, tiny
from support.tiny_worker import topology_file

from streamml import Feature, Transform
from streamml.engine.catalog import Catalog
from streamml.engine.rebuild import Replay
from streamml.runtime.connection import Connection
from streamml.runtime.registry import SchemaStore
from streamml.runtime.registry_http import RegistryClient
from streamml.runtime.registry_topic import TopicRegistry
from streamml.schemas import Codec, schema_id_of
from streamml.testing import Driver


def newer(schema: dict[str, Any]) -> dict[str, Any]:
    """The next version: one more field, with a default, before all others."""
    return {**schema, "fields": [{"name": "station", "type": "string", "default": ""}, *schema["fields"]]}


def why(catalog: Catalog, headers: Any) -> dict[str, Any]:
    """Why a record is in quarantine, whichever registry gave the id of that schema."""
    reason = dict(headers)["streamml.quarantine"]
    return Codec(catalog.schema("quarantine"), schema_id_of(reason)).decode(reason)


@pytest.mark.kafka
@pytest.mark.parametrize("where", ["topic", pytest.param("server", marks=pytest.mark.registry)])
def test_a_producer_moves_on_under_a_running_worker(
    kafka: str, app_name: str, tmp_path: Path, request: pytest.FixtureRequest, where: str
) -> None:
    url = request.getfixturevalue("registry") if where == "server" else ""
    catalog = Catalog.in_memory(tiny(app_name))

    async def at_the_store(schemas: dict[str, dict[str, Any]]) -> dict[str, Codec]:
        """Codecs for records of `schemas`, by role, with the ids that the store has or gives."""
        store: SchemaStore = RegistryClient(url, app_name) if url else TopicRegistry(app_name, Connection(kafka))
        try:
            await store.load()
            return {
                role: Codec(schema, await store.register(f"{app_name}.{role}-value", schema))
                for role, schema in schemas.items()
            }
        finally:
            await store.close()

    def send(codecs: dict[str, Codec], numbers: range, **more: str) -> None:
        for role, make in (("events", event), ("feedback", label)):
            rows = [(b"%d" % n, codecs[role].encode({**make(n), **more})) for n in numbers]
            produce(kafka, f"{app_name}.{role}", rows)

    def held(role: str, count: int) -> list[Any]:
        return eventually(lambda: read_all(kafka, f"{app_name}.{role}"), lambda found: len(found) >= count)

    file = topology_file(tmp_path, app_name)
    options = ("--only", "", *(("--registry", url) if url else ()))
    with running("-m", "support.tiny_worker", str(file), kafka, *options) as process:
        page = process.line("status on ").rpartition("status on ")[2].rstrip("/")
        eventually(lambda: get(f"{page}/ready")[0], lambda status: status == 200)
        old = asyncio.run(at_the_store({"events": EVENT, "feedback": LABEL}))
        send(old, range(8))
        held("predictions", 8)

        # The first of them is an id that the registry knows, but of another topic.
        strays = (old["feedback"].id, 0x7FFFFFFF, 0xFFFFFFFF)
        junk = [b"\0" + number.to_bytes(4, "big") + b"?" * 30 for number in strays]
        produce(kafka, f"{app_name}.events", [(b"junk", value) for value in junk])
        held("quarantine", 3)

        new = asyncio.run(at_the_store({"events": newer(EVENT), "feedback": newer(LABEL)}))
        assert all(new[role].id != old[role].id for role in new)
        send(new, range(8, 16), station="x")
        send(old, range(16, 20))
        send(new, range(20, 24), station="y")
        examples = held("examples", 24)

    assert {message.key() for message in examples} == {b"%d" % n for n in range(24)}
    refused = read_all(kafka, f"{app_name}.quarantine")
    assert {message.value() for message in refused} == set(junk)
    assert {why(catalog, message.headers())["rule"] for message in refused} == {"schema_id"}
    assert not [line for line in process.lines if "Traceback" in line or "lost" in line]


def test_what_others_register_refuses_the_records_that_it_must_and_no_more(app_name: str) -> None:
    """A registry whose compatibility is NONE takes in any version."""
    driver = Driver(tiny(app_name))
    subject = f"{app_name}.events-value"
    looser = {**EVENT, "fields": [{**f, "type": ["null", f["type"]]} for f in EVENT["fields"]]}
    fewer = {**EVENT, "fields": EVENT["fields"][:3]}
    for version, schema in enumerate((newer(EVENT), looser, fewer), 2):
        driver.catalog.registry.add(subject, version, 100 + version, schema)
    ahead, maybe, less = (Codec(schema, 100 + n) for n, schema in enumerate((newer(EVENT), looser, fewer), 2))
    driver.produce("events", event(0))
    driver.produce("events", ahead.encode({**event(1), "station": "x"}))
    driver.produce("events", maybe.encode(event(2)))
    driver.produce("events", maybe.encode({**event(3), "pressure": None}))
    driver.produce("events", less.encode(event(4)))
    driver.produce("events", event(5))
    driver.run()
    assert [p["id"] for p in driver.read("predictions")] == ["0", "1", "2", "5"]
    reasons = [why(driver.catalog, record.headers) for record in driver.records("quarantine")]
    assert [(r["offset"], r["rule"]) for r in reasons] == [(3, "schema"), (4, "schema")]


@pytest.mark.parametrize("snapshots", [False, True], ids=["from the log alone", "from a snapshot"])
def test_a_topology_with_one_more_feature_goes_on_with_the_logs_of_the_one_before(
    app_name: str, snapshots: bool
) -> None:
    before = tiny(app_name)
    driver = Driver(before)
    learned = 30 if snapshots else 15
    for number in range(learned + 10):
        driver.produce("events", event(number))
        driver.run()
        if number < learned:
            driver.produce("feedback", label(number))
            driver.run()
    assert bool(driver.records("models")) is snapshots
    old = {role: driver.catalog.codec(role).header for role in ("features", "examples")}

    # The next start, with the next version of the file.
    damp = {"name": "damp", "type": ["null", "double"], "default": None}
    after = replace(
        before,
        events=replace(before.events, schema={**EVENT, "fields": [*EVENT["fields"], damp]}),
        transform=Transform("temperature", Feature("damp", optional=True), "pressure"),
    )
    driver.topology = after
    driver.catalog = Catalog.in_memory(after, driver.catalog.registry)
    driver.crash()
    assert all(driver.catalog.codec(role).header != header for role, header in old.items())
    driver.run()
    assert driver.live.position("lr") == driver.live.position("nb") == learned

    pending = range(learned, learned + 10)
    for number in pending:
        driver.produce("feedback", label(number))
    driver.run()
    for number in range(learned + 10, learned + 20):
        driver.produce("events", {**event(number), "damp": 0.5 if number % 2 else None})
        driver.run()
        driver.produce("feedback", label(number))
        driver.run()
    assert driver.live.position("lr") == driver.live.position("nb") == learned + 20
    assert driver.records("quarantine") == []
    assert driver.reports == []

    values = [record.value or b"" for record in driver.records("examples")]
    assert {value[:5] for value in values[:learned]} == {old["examples"]}
    assert {value[:5] for value in values[learned:]} == {driver.catalog.codec("examples").header}
    examples = driver.read("examples")
    assert [example["label"]["id"] for example in examples] == [str(n) for n in range(learned + 20)]
    for number, example in enumerate(examples):
        seen = event(number)
        wet = 0.5 if number >= learned + 10 and number % 2 else None
        assert example["features"]["values"] == {
            "damp": wet,
            "pressure": seen["pressure"],
            "temperature": seen["temperature"],
        }
    # And anyone can still make every prediction again, from the log of two schemas.
    replay = Replay(after.models[0], after.target, driver.catalog.examples, values)
    for features, said in zip(driver.read("features"), driver.read("predictions"), strict=True):
        x = {name: value for name, value in features["values"].items() if value is not None}
        assert replay.predict(said["position"], x) == said["output"]
