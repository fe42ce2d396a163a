"""What fails, fails without loss: the session is opened again, or the plane says in one line why it cannot go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from aiokafka.errors import KafkaError, ProducerFenced
from crash.toys import TALLY, tallied
from runtime.planes import ECHO, QUICK, Echo, committed, make_topics, plane, running, until, values
from support.kafka import produce
from support.truncating import delete_before

from streamml.agents.agent import Offsets
from streamml.engine.task import Task
from streamml.errors import BrokerError, RegistryError, StateLost, StreammlError
from streamml.records import Batch, Record, Writes
from streamml.runtime.admin import TopicSpec, ensure_topics
from streamml.runtime.connection import Connection

pytestmark = pytest.mark.kafka


def raising(point: str, error: Callable[[], BaseException], times: int = 1) -> Callable[[str], None]:
    left = [times]

    def fault(reached: str) -> None:
        if reached == point and left[0]:
            left[0] -= 1
            raise error()

    return fault


@pytest.mark.parametrize("point", ["fenced", "restored", "stepped", "begun", "sent", "offsets", "committed"])
@pytest.mark.parametrize("error", [KafkaError, AssertionError], ids=["KafkaError", "AssertionError"])
async def test_a_session_lost_at_any_point_goes_on_exactly_once(
    kafka: str, app_name: str, point: str, error: type[Exception]
) -> None:
    await make_topics(kafka, app_name, **{"in": 1, "out": 1, "counts": 1})
    rows = [(b"k%d" % (i % 7), b"%d" % i) for i in range(200)]
    produce(kafka, f"{app_name}.in", rows)
    quick = replace(QUICK, heartbeat_interval_ms=100, max_records=50)
    tally = plane(kafka, app_name, TALLY, quick, fault=raising(point, error))
    async with running(tally):
        found = await values(kafka, f"{app_name}.out", 200)
        assert tally.counters.sessions_lost == 1
    assert found == [value for _, value in tallied(rows)]


async def test_a_session_that_waits_to_open_again_can_be_suspended_and_closed(
    kafka: str, app_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    await make_topics(kafka, app_name, **{"in": 2, "out": 1})
    produce(kafka, f"{app_name}.in", [(b"k", b"v")], partition=0)
    produce(kafka, f"{app_name}.in", [(b"k", b"w")], partition=1)
    # The longest wait: a fenced session waits for the next heartbeat.
    troubled = plane(
        kafka, app_name, tuning=replace(QUICK, heartbeat_interval_ms=700), fault=raising("begun", ProducerFenced, 99)
    )
    other = plane(kafka, app_name)
    await troubled.start()
    try:
        await until(lambda: [s.state for s in troubled.sessions.values()] == ["lost", "lost"], troubled)
        async with running(other):
            await until(lambda: len(troubled.sessions) == 1 and other.counters.writes_out == 1, troubled, other)
            await until(lambda: [s.state for s in troubled.sessions.values()] == ["lost"], troubled)
            await asyncio.wait_for(troubled.stop(), 2.0)
            assert len(await values(kafka, f"{app_name}.out", 2)) == 2
    finally:
        await troubled.stop()
    assert "never retrieved" not in caplog.text


async def test_a_batch_that_cannot_be_prepared_for_is_read_again(kafka: str, app_name: str) -> None:
    seen: list[bytes | None] = []

    async def prepare(batch: Batch) -> None:
        seen.extend(record.value for record in batch["in"])
        if len(seen) == 1:
            raise RegistryError("the registry does not answer")

    await make_topics(kafka, app_name, **{"in": 1, "out": 1})
    echo = plane(kafka, app_name, prepare=prepare)
    async with running(echo):
        produce(kafka, f"{app_name}.in", [(b"k", b"v")])
        await until(lambda: echo.counters.writes_out == 1, echo)
        assert echo.counters.sessions_lost == 1
    assert seen == [b"v", b"v"]
    assert await values(kafka, f"{app_name}.out", 1) == [b"v"]


async def test_a_lost_state_is_built_anew_at_once(kafka: str, app_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[int] = []

    class Fragile(Echo):
        def step(self, batch: Batch, now: int) -> Writes:
            if batch and len(lost) < 5:
                lost.append(0)
                raise StateLost("it cannot be trusted")
            return super().step(batch, now)

    monkeypatch.setattr("streamml.runtime.session._LONGEST_BACKOFF_S", 1_000.0)
    monkeypatch.setattr("streamml.runtime.session._BACKOFF_S", 1_000.0)
    await make_topics(kafka, app_name, **{"in": 1, "out": 1})
    echo = plane(kafka, app_name, replace(ECHO, build=Fragile))
    async with running(echo):
        produce(kafka, f"{app_name}.in", [(b"k", b"v")])
        await until(lambda: echo.counters.writes_out == 1, echo)
        assert echo.counters.sessions_lost == 5
    assert await values(kafka, f"{app_name}.out", 1) == [b"v"]


async def test_a_second_owner_fences_the_first_which_comes_back(kafka: str, app_name: str) -> None:
    await make_topics(kafka, app_name, **{"in": 1, "out": 1})
    echo = plane(kafka, app_name, fault=raising("begun", ProducerFenced))
    async with running(echo):
        produce(kafka, f"{app_name}.in", [(b"k", b"v")])
        await until(lambda: echo.counters.writes_out == 1, echo)
        assert echo.counters.sessions_lost == 1


async def test_a_failed_step_ends_the_plane_in_one_line_and_commits_nothing(
    kafka: str, app_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Poor(Echo):
        def step(self, batch: Batch, now: int) -> Writes:
            if any(record.value == b"poison" for record in batch.get("in", ())):
                raise ZeroDivisionError("division by zero")
            return super().step(batch, now)

    await make_topics(kafka, app_name, **{"in": 1, "out": 1})
    echo = plane(kafka, app_name, replace(ECHO, build=Poor))
    async with running(echo):
        produce(kafka, f"{app_name}.in", [(b"k", b"good")])
        await until(lambda: echo.counters.writes_out == 1, echo)
        produce(kafka, f"{app_name}.in", [(b"k", b"poison")])
        with pytest.raises(StreammlError) as caught:
            await until(lambda: False, echo)
    assert str(caught.value) == (
        f"{app_name} echo, unit 0: step at {app_name}.in/0 offsets 1 to 1 failed "
        "(ZeroDivisionError: division by zero); nothing of it was committed: correct the cause and start again"
    )
    assert any(record.exc_info for record in caplog.records if record.levelno == logging.ERROR)
    assert await committed(kafka, echo.group, f"{app_name}.in", 1)
    assert await values(kafka, f"{app_name}.out", 1) == [b"good"]


async def test_a_send_that_fails_inside_a_transaction_commits_nothing(kafka: str, app_name: str) -> None:
    await ensure_topics(
        Connection(kafka),
        [
            TopicSpec(f"{app_name}.in", 1),
            TopicSpec(f"{app_name}.out", 1),
            TopicSpec(f"{app_name}.small", 1, {"max.message.bytes": "1000"}),
        ],
    )

    class Both(Echo):
        def step(self, batch: Batch, now: int) -> Writes:
            writes = super().step(batch, now)
            return {**writes, "small": [(b"k", b"x" * 5_000, now, ())]} if writes else {}

    echo = plane(kafka, app_name, replace(ECHO, build=Both, outputs=("out", "small")))
    async with running(echo):
        produce(kafka, f"{app_name}.in", [(b"k", b"v")])
        with pytest.raises(
            BrokerError, match=rf"{app_name}.echo unit 0 at {app_name}.in/0 offset 1: .*MessageSizeTooLarge"
        ):
            await until(lambda: False, echo)
    assert await committed(kafka, echo.group, f"{app_name}.in", None)
    assert await values(kafka, f"{app_name}.out", 0) == []


async def test_a_role_that_is_not_declared_is_named(kafka: str, app_name: str) -> None:
    class Stray(Echo):
        def step(self, batch: Batch, now: int) -> Writes:
            return {"stray": [(b"k", b"v", now, ())]} if batch else {}

    await make_topics(kafka, app_name, **{"in": 1, "out": 1})
    produce(kafka, f"{app_name}.in", [(b"k", b"v")])
    echo = plane(kafka, app_name, replace(ECHO, build=Stray))
    with pytest.raises(StreammlError, match="writes to role 'stray' that its task does not declare"):
        async with running(echo):
            await until(lambda: False, echo)


async def test_a_producer_is_replaced_before_its_sequence_numbers_end(kafka: str, app_name: str) -> None:
    await make_topics(kafka, app_name, **{"in": 1, "out": 1})
    produce(kafka, f"{app_name}.in", [(b"k", b"%d" % i) for i in range(500)])
    echo = plane(kafka, app_name, tuning=replace(QUICK, rotate_records=100, max_records=50))
    async with running(echo):
        await until(lambda: echo.counters.writes_out == 500, echo)
        assert echo.counters.sessions_opened >= 4
        assert echo.counters.sessions_lost == 0
    assert await values(kafka, f"{app_name}.out", 500) == [b"%d" % i for i in range(500)]


async def test_a_replay_of_deleted_records_is_refused(kafka: str, app_name: str) -> None:
    class Forgetful(Echo):
        def resume(self, committed: Offsets) -> Offsets:
            return dict.fromkeys(committed, 0)

    await make_topics(kafka, app_name, **{"in": 1, "out": 1})
    produce(kafka, f"{app_name}.in", [(b"k", b"v")] * 20)
    task = replace(ECHO, build=Forgetful)
    first = plane(kafka, app_name, task)
    async with running(first):
        await until(lambda: first.counters.writes_out == 20, first)
    await asyncio.to_thread(delete_before, kafka, f"{app_name}.in", 15)
    second = plane(kafka, app_name, task)
    with pytest.raises(StreammlError, match=rf"{app_name}.in/0 begins at offset 15: what .* needs from offset 0 on"):
        async with running(second):
            pass


async def test_unread_records_that_retention_deleted_are_told(
    kafka: str, app_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    await make_topics(kafka, app_name, **{"in": 1, "out": 1})
    produce(kafka, f"{app_name}.in", [(b"k", b"%d" % i) for i in range(5)])
    first = plane(kafka, app_name)
    async with running(first):
        await until(lambda: first.counters.writes_out == 5, first)
    produce(kafka, f"{app_name}.in", [(b"k", b"%d" % i) for i in range(5, 20)])
    await asyncio.to_thread(delete_before, kafka, f"{app_name}.in", 12)
    second = plane(kafka, app_name)
    async with running(second):
        await until(lambda: second.counters.writes_out == 8, second)
    assert f"offsets 5 to 11 of {app_name}.in/0 were deleted by retention before they were read" in caplog.text


async def test_a_changelog_that_ends_with_a_marker_is_restored(kafka: str, app_name: str) -> None:
    restored: list[bytes | None] = []

    class Keeper(Echo):
        def restore(self, records: Sequence[Record]) -> None:
            restored.extend(record.value for record in records)

    await make_topics(kafka, app_name, **{"in": 1, "out": 1, "log": 1})
    produce(kafka, f"{app_name}.log", [(b"k", b"%d" % i) for i in range(3)])
    task = Task("keep", ("in",), ("out",), "whole", Keeper, changelog="log")
    writer = plane(kafka, app_name, Task("end", ("in",), ("log",), "partition", Marks))
    async with running(writer):
        await until(lambda: writer.counters.transactions == 1, writer)
    keeper = plane(kafka, app_name, task)
    async with running(keeper):
        assert keeper.ready
    assert restored == [b"0", b"1", b"2", b"mark"]


class Marks(Echo):
    """Leaves a transaction marker at the end of its output."""

    done = False

    def step(self, batch: Batch, now: int) -> Writes:
        writes: Writes = {} if self.done else {"log": [(b"m", b"mark", now, ())]}
        self.done = True
        return writes
