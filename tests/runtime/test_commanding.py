"""Commands as they stand in a real log, their answers, and how many examples a log holds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from support.kafka import create_topics, produce, read_all
from support.rebuilding import feed
from support.tiny import tiny

from streamml.engine.catalog import Catalog
from streamml.engine.layout import topics
from streamml.errors import BrokerError, StreammlError
from streamml.runtime.commanding import answer_to, command_of, give, held_examples, require_position
from streamml.runtime.connection import Connection
from streamml.snapshots import key_of
from streamml.testing import Driver
from streamml.topology import Topology

AT = 1_700_000_000_000
PAUSE = command_of("pause", "lr", reason="why not", author="ann", at=AT)


def decision(command: int | None, **changes: Any) -> dict[str, Any]:
    return {**PAUSE, "kind": "decision", "accepted": True, "author": "govern", "command": command, **changes}


class Log:
    """The topics of a topology on Kafka, all empty, and what an outside writer puts there."""

    def __init__(self, bootstrap: str, topology: Topology) -> None:
        self.topology, self.catalog = topology, Catalog.in_memory(topology)
        self.bootstrap, self.connection = bootstrap, Connection(bootstrap)
        self.control = self.catalog.codec("control")
        create_topics(bootstrap, {t.name: (t.partitions, dict(t.config)) for t in topics(topology)})

    def decide(self, *values: dict[str, Any] | bytes) -> None:
        framed = [value if isinstance(value, bytes) else self.control.encode(value) for value in values]
        produce(self.bootstrap, self.topology.topic("control"), [(None, value) for value in framed])

    async def answer(self, command: int, patience: float) -> Any:
        return await answer_to(self.connection, self.topology, self.control, command, patience)

    async def append(self, role: Any, values: list[tuple[bytes | None, bytes | None]], commit: bool = True) -> None:
        """In one transaction, which leaves a hole behind it."""
        topic = self.topology.topic(role)
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, transactional_id=f"{topic}-writer")
        await producer.start()
        try:
            await producer.begin_transaction()
            for key, value in values:
                await producer.send(topic, value, key, partition=0)
            await producer.flush()
            await (producer.commit_transaction() if commit else producer.abort_transaction())
        finally:
            await producer.stop()

    async def held(self, wanted: int, key: bytes | None = None) -> int:
        return await held_examples(self.connection, self.topology, self.catalog.codec("models"), key, wanted)


@pytest.fixture
def log(kafka: str, app_name: str) -> Log:
    return Log(kafka, tiny(app_name))


@pytest.mark.kafka
async def test_a_command_stands_in_the_log_once_at_the_offset_that_comes_back(log: Log) -> None:
    log.decide(decision(None))
    offsets = [await give(log.connection, log.topology, log.control, PAUSE) for _ in range(2)]
    assert offsets == [1, 2]
    held = read_all(log.bootstrap, log.topology.topic("control"))
    assert [(m.offset(), log.control.decode(m.value())) for m in held[1:]] == [(offset, PAUSE) for offset in offsets]
    assert {m.timestamp()[1] for m in held[1:]} == {AT}


@pytest.mark.kafka
async def test_the_answer_is_the_decision_that_names_the_command(log: Log) -> None:
    for _ in range(2):
        command = await give(log.connection, log.topology, log.control, PAUSE)
    others = (decision(None), decision(command - 1), b"no record", {**PAUSE, "command": command})
    log.decide(*others)
    assert await log.answer(command, 0.5) is None
    assert await log.answer(command, 0) is None
    waiting = asyncio.create_task(log.answer(command, 60))
    refused = decision(command, accepted=False, reason="no")
    await asyncio.to_thread(log.decide, refused, decision(command, reason="too late"))
    assert await waiting == refused
    # Whoever looks later finds it too, without any wait for what is not there.
    assert await log.answer(command, 60) == refused


@pytest.mark.kafka
async def test_nothing_is_asked_of_an_application_that_is_not_there(kafka: str) -> None:
    topology = tiny("nobody-has-applied-this")
    with pytest.raises(BrokerError, match="streamml apply"):
        await give(Connection(kafka), topology, Catalog.in_memory(topology).codec("control"), PAUSE)
    with pytest.raises(BrokerError, match="no Kafka broker answers"):
        await give(Connection("127.0.0.1:9"), topology, Catalog.in_memory(topology).codec("control"), PAUSE)


@pytest.mark.kafka
async def test_examples_are_counted_and_not_offsets(log: Log) -> None:
    assert await log.held(1) == 0
    await log.append("examples", [(b"", b"x")] * 3)
    await log.append("examples", [(b"", b"lost")] * 5, commit=False)
    await log.append("examples", [(b"", b"x")] * 4)
    await log.append("examples", [(b"", b"lost")], commit=False)
    assert await log.held(100) == 7
    assert await log.held(7) == 7
    assert 2 <= await log.held(2) <= 7
    codec = log.catalog.codec("models")
    await require_position(log.connection, log.topology, codec, None, 7)
    said = rf"{log.topology.topic('examples')} holds 7 examples, so there is no position 8 yet: .* up to 7"
    with pytest.raises(StreammlError, match=said):
        await require_position(log.connection, log.topology, codec, None, 8)


@pytest.mark.kafka
@pytest.mark.parametrize("secret", [None, b"secret"])
async def test_the_count_goes_on_from_the_furthest_snapshot(log: Log, secret: bytes | None) -> None:
    """The snapshots of a life on the Driver, which stand 40 examples ahead of an `examples` of other offsets."""
    key = None if secret is None else key_of(secret, log.topology.name)
    driver = Driver(log.topology, signing_key=key)
    feed(driver, range(50))
    models = [(record.key, record.value) for record in driver.records("models")]
    await log.append("examples", [(b"", b"x")] * 45)
    assert await log.held(50, key) == 45
    await log.append("models", models)
    # The snapshot at 40 says that the next example stands at offset 40: five of these 45 are behind it.
    assert await log.held(40, key) == 40
    assert await log.held(10, key) == 40
    assert await log.held(50, key) == 45
    # A forged one is not believed where there is a key.
    assert await log.held(10, key_of(b"another", log.topology.name)) >= 10
