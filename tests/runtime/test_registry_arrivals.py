"""Versions of a schema that come while we run, against a store in memory."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import pytest

from streamml.errors import DecodeError, RegistryError
from streamml.records import LogRecord
from streamml.runtime.registry import Change, Strays
from streamml.runtime.registry_arrivals import Arrivals, Upgrades
from streamml.schemas import Codec, EventReader, Registry

SUBJECT = "shop.events-value"
V1: dict[str, Any] = {"type": "record", "name": "Order", "fields": [{"name": "id", "type": "string"}]}
V2 = {**V1, "fields": [*V1["fields"], {"name": "tax", "type": "double", "default": 0.0}]}
FOREIGN = {"type": "record", "name": "Foreign", "fields": []}


class Store:
    """Holds versions that the registry gets to know when it is asked; `asked` is what it was asked."""

    def __init__(self, held: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> None:
        self.registry = Registry()
        self.held = held
        self.asked: list[tuple[set[int], str | None]] = []
        self.down = False

    async def load(self) -> None: ...

    async def plan(self, subject: str, schema: Mapping[str, Any]) -> Change:
        raise NotImplementedError

    async def register(self, subject: str, schema: Mapping[str, Any]) -> int:
        return self.registry.register(subject, schema)

    async def resolve(self, ids: Set[int], subject: str | None = None) -> None:
        self.asked.append((set(ids), subject))
        if self.down:
            raise RegistryError("the registry does not answer")
        for version, (schema_id, schema) in enumerate(self.held.get(subject or "", {}).items(), 2):
            self.registry.add(subject or "", version, schema_id, schema)

    async def close(self) -> None: ...


def batch(*values: bytes | None, role: str = "events") -> dict[str, list[LogRecord]]:
    return {role: [LogRecord(f"shop.{role}", 0, n, 0, None, value) for n, value in enumerate(values)]}


async def test_a_new_id_is_asked_for_once_and_its_records_are_read_at_once() -> None:
    store = Store({SUBJECT: {77: V2}})
    first = Codec(V1, await store.register(SUBJECT, V1)).encode({"id": "a"})
    second = Codec(V2, 77).encode({"id": "b", "tax": 1.0})
    reader = EventReader(V1, "avro", store.registry, SUBJECT)
    arrivals = Arrivals(store, {"events": SUBJECT})
    for _ in range(3):
        await arrivals(batch(first, first))
    assert store.asked == []
    for _ in range(3):
        await arrivals(batch(first, second, first))
    assert store.asked == [({77}, SUBJECT)]
    assert [reader.read(value) for value in (first, second)] == [{"id": "a"}, {"id": "b"}]


async def test_what_has_no_header_is_asked_about_nobody() -> None:
    store = Store({})
    arrivals = Arrivals(store, {"events": SUBJECT})
    await arrivals(batch(None, b"", b"\0\0\0", b'{"id": 1}', b"\1\0\0\0\7x"))
    await arrivals(batch(b"\0\0\0\0\7x", role="other"))
    await arrivals({})
    assert store.asked == []


async def test_an_id_counts_as_a_version_of_its_own_topic_only() -> None:
    store = Store({})
    feedback = "shop.feedback-value"
    schema_id = await store.register(feedback, FOREIGN)
    reader = EventReader(V1, "avro", store.registry, SUBJECT)
    value = Codec(FOREIGN, schema_id).encode({})
    arrivals = Arrivals(store, {"events": SUBJECT, "feedback": feedback})
    await arrivals(batch(value, role="feedback"))
    assert store.asked == []
    await arrivals(batch(value))
    assert store.asked == [({schema_id}, SUBJECT)]
    with pytest.raises(DecodeError, match=r"is not of shop\.events-value"):
        reader.read(value)
    # The same schema may be registered for the topic later, under the same id.
    store.held = {SUBJECT: {schema_id: FOREIGN}}
    await arrivals(batch(value))
    assert store.registry.belongs(schema_id, SUBJECT)


async def test_a_store_that_cannot_be_asked_is_asked_again_with_the_next_batch() -> None:
    store = Store({SUBJECT: {77: V2}})
    arrivals = Arrivals(store, {"events": SUBJECT})
    value = Codec(V2, 77).encode({"id": "b", "tax": 1.0})
    store.down = True
    for _ in range(2):
        with pytest.raises(RegistryError):
            await arrivals(batch(value))
    store.down = False
    await arrivals(batch(value))
    assert store.registry.belongs(77, SUBJECT)


async def test_versions_that_the_reader_cannot_read_refuse_their_records_only() -> None:
    """A server whose compatibility is NONE takes anything in."""
    odd: dict[int, dict[str, Any]] = {
        71: {"type": "record", "name": "Order", "fields": [{"name": "number", "type": "long"}]},
        72: {"type": "record", "name": "Order", "fields": [{"name": "id", "type": ["null", "string"]}]},
        73: {"type": "string"},
        74: {"type": "recod"},
        75: {"type": "record", "name": "Order", "fields": [{"name": "id", "type": "Gone"}]},
        76: {"fields": 7},
    }
    store = Store({SUBJECT: odd})
    first = Codec(V1, await store.register(SUBJECT, V1)).encode({"id": "a"})
    reader = EventReader(V1, "avro", store.registry, SUBJECT)
    junk = [b"\0" + schema_id.to_bytes(4, "big") + b"\0\2a" for schema_id in odd]
    fitting = b"\0\0\0\0\x48" + b"\2\2a"
    await Arrivals(store, {"events": SUBJECT})(batch(first, *junk, fitting))
    for value in junk:
        with pytest.raises(DecodeError) as refused:
            reader.read(value)
        assert refused.value.rule == "schema"
    assert reader.read(fitting) == reader.read(first) == {"id": "a"}


def test_stray_ids_are_left_alone_for_a_while() -> None:
    now = 0.0
    strays = Strays(30, lambda: now, most=3)
    strays.add({1}, SUBJECT)
    assert strays.without({1, 2}, SUBJECT) == {2}
    assert strays.without({1}, None) == {1}
    now = 29.0
    strays.add({2}, SUBJECT)
    assert strays.without({1, 2}, SUBJECT) == set()
    now = 30.0
    assert strays.without({1, 2}, SUBJECT) == {1}
    strays.add([3, 4, 5], SUBJECT)
    assert strays.without({2, 3, 4, 5}, SUBJECT) == {2}


async def test_a_later_version_of_our_own_topics_has_all_versions_read_once() -> None:
    store = Store({})
    loaded = 0

    async def load() -> None:
        nonlocal loaded
        loaded += 1

    store.load = load  # type: ignore[method-assign]  # Counts, and does nothing else as before.
    own = Codec(V1, await store.register(SUBJECT, V1)).encode({"id": "a"})
    later = Codec(V2, 77).encode({"id": "b", "tax": 1.0})
    missing, asked = set[int](), set[int]()
    upgrades = Upgrades(store, {"features": own[:5]}, missing, asked)
    for values in ((own, own), (None, b"no header"), (own, later), (later,)):
        await upgrades(batch(*values, role="features"))
    await upgrades(batch(later, role="events"))
    assert loaded == 1

    missing.add(5)
    await upgrades(batch(own, role="features"))
    assert (loaded, missing, asked) == (2, set(), {5})
