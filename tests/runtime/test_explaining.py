"""What is said where a prediction cannot be made again, and where its records lie."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.kafka import create_topics, produce
from support.tiny import EVENT, LABEL, START, tiny
from support.truncating import delete_before

from streamml import Events, Feedback
from streamml.engine.catalog import Catalog
from streamml.engine.layout import topics
from streamml.errors import StreammlError
from streamml.models import Lineage
from streamml.partitioning import partition_of
from streamml.runtime import explaining
from streamml.runtime.connection import Connection
from streamml.runtime.tracing import Trace, trace

TOPOLOGY = tiny("explained")
CATALOG = Catalog.in_memory(TOPOLOGY)
LINEAGES = {m.name: Lineage.of(m, TOPOLOGY.target) for m in TOPOLOGY.models}
NOWHERE = Connection("127.0.0.1:9")
SEEN = {"values": {"temperature": 1.0, "pressure": 2.0}}


async def refusal(served: dict[str, Any], seen: dict[str, Any] | None = SEEN) -> str:
    with pytest.raises(StreammlError) as refused:
        await explaining._again(NOWHERE, CATALOG, LINEAGES, served, seen, None)
    return str(refused.value)


async def test_a_model_of_another_declaration_is_not_rebuilt() -> None:
    digest = LINEAGES["lr"].digest
    said = await refusal({"model": "xgb", "digest": digest, "position": 5})
    assert said == "the topology does not declare xgb: explain it with the declaration that served it"
    said = await refusal({"model": "lr", "digest": "f" * 16, "position": 5})
    assert said.startswith(f"lr is declared with the digest {digest} now, and served with ffffffffffffffff: ")
    assert "its features were deleted" in await refusal({"model": "lr", "digest": digest, "position": 5}, None)


async def test_what_no_event_has_was_not_predicted() -> None:
    said = await explaining._not_served(NOWHERE, CATALOG, None, Trace({"events": []}))  # type: ignore[arg-type]
    assert said == "no event has this id: there is nothing that a model could have predicted"


@pytest.mark.kafka
async def test_every_record_of_an_id_is_found_wherever_others_wrote_it(kafka: str, app_name: str) -> None:
    label = {**LABEL, "fields": [{"name": "id", "type": "long"}, *LABEL["fields"][1:]]}
    topology = tiny(
        app_name,
        partitions=3,
        events=Events(EVENT, id="id", time="at", format="json"),
        feedback=Feedback(label, id="id", label="rain", time="at"),
    )
    catalog = Catalog.in_memory(topology)
    create_topics(kafka, {t.name: t.partitions for t in topics(topology)})
    rest = b'"at":%d,"temperature":1.0,"pressure":2.0}' % START

    def send(role: str, value: bytes, partition: int, key: bytes = b"k") -> None:
        produce(kafka, topology.topic(role), [(key, value)], partition=partition)

    await asyncio.to_thread(send, "events", b'{"id":"\\u0037\\u0037",' + rest, 2)
    await asyncio.to_thread(send, "events", b'{"id":"77",' + rest, 0)
    await asyncio.to_thread(send, "events", b'{"id":"770",' + rest, 1)
    await asyncio.to_thread(send, "events", b"77 is not JSON", 1)
    labels = catalog.codec("feedback")
    for number, partition in ((77, 1), (78, 1), (77, 0)):
        value = labels.encode({"id": number, "rain": True, "at": START})
        await asyncio.to_thread(send, "feedback", value, partition)
    home = partition_of(b"77", 3)
    for role in ("features", "predictions", "labels"):
        await asyncio.to_thread(send, role, role.encode(), home, b"77")
        await asyncio.to_thread(send, role, b"of another", home, b"770")
    for key in (b"1", b"2", b"77", b"3", b"77"):
        await asyncio.to_thread(send, "examples", b"example", 0, key)

    found = await trace(Connection(kafka), catalog, "77")
    assert [(r.partition, r.offset) for r in found.found["events"]] == [(0, 0), (2, 0)]
    assert [(r.partition, r.offset) for r in found.found["feedback"]] == [(0, 0), (1, 0)]
    for role in ("features", "predictions", "labels"):
        assert [r.value for r in found.found[role]] == [role.encode()]
    assert [r.offset for r in found.found["examples"]] == [2, 4]
    assert found.position == 2

    await asyncio.to_thread(delete_before, kafka, topology.topic("examples"), 1)
    cut = await trace(Connection(kafka), catalog, "77")
    assert ([r.offset for r in cut.found["examples"]], cut.position) == ([2, 4], None)
    assert not await trace(Connection(kafka), catalog, "nobody")
