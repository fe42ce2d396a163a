"""A plane on real Kafka: what it reads, writes and commits, and who works on what."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest
from runtime.planes import ECHO, QUICK, Echo, committed, make_topics, plane, running, until, values
from support.kafka import produce, read_all

from streamml.agents.agent import Offsets
from streamml.engine.task import Task
from streamml.errors import BrokerError
from streamml.partitioning import partition_of
from streamml.records import Batch, Record, TopicPartition, Writes
from streamml.runtime.connection import Connection

pytestmark = pytest.mark.kafka


async def test_records_go_through_with_key_time_and_headers_to_the_partition_of_their_key(
    kafka: str, app_name: str
) -> None:
    await make_topics(kafka, app_name, **{"in": 2, "out": 3})
    rows = [(b"k%d" % i, b"v%d" % i, 1_000 + i) for i in range(500)]
    produce(kafka, f"{app_name}.in", rows, headers=[("h", b"1")])
    echo = plane(kafka, app_name)
    async with running(echo):
        await until(lambda: echo.counters.writes_out == 500, echo)
        await until(lambda: set(echo.lag().values()) == {0}, echo)
    await values(kafka, f"{app_name}.out", 500)
    found = read_all(kafka, f"{app_name}.out")
    assert sorted((m.key(), m.value(), m.timestamp()[1]) for m in found) == sorted(rows)
    assert {m.partition() == partition_of(m.key() or b"", 3) for m in found} == {True}
    assert {str(m.headers()) for m in found} == {str([("h", b"1")])}
    assert echo.counters.records_in == 500


async def test_a_record_without_a_key_goes_to_the_partition_of_its_unit(kafka: str, app_name: str) -> None:
    await make_topics(kafka, app_name, **{"in": 2, "out": 2})
    produce(kafka, f"{app_name}.in", [(None, b"x")], partition=1)
    echo = plane(kafka, app_name)
    async with running(echo):
        await until(lambda: echo.counters.writes_out == 1, echo)
    await values(kafka, f"{app_name}.out", 1)
    assert [m.partition() for m in read_all(kafka, f"{app_name}.out")] == [1]


async def test_inputs_of_different_width_meet_by_partition(kafka: str, app_name: str) -> None:
    await make_topics(kafka, app_name, left=1, right=2, out=1)
    seen: dict[int, list[str]] = {}

    class Meet(Echo):
        def step(self, batch: Batch, now: int) -> Writes:
            seen.setdefault(self.unit, []).extend(batch)
            return super().step(batch, now)

    task = Task("meet", ("right", "left"), ("out",), "partition", Meet)
    for role, number in (("left", 0), ("right", 0), ("right", 1)):
        produce(kafka, f"{app_name}.{role}", [(b"k", b"v")], partition=number)
    meet = plane(kafka, app_name, task)
    async with running(meet):
        await until(lambda: meet.counters.writes_out == 3, meet)
        inputs = {unit: sorted(tuple(tp) for tp in s.inputs) for unit, s in meet.sessions.items()}
    assert inputs == {0: [(f"{app_name}.left", 0), (f"{app_name}.right", 0)], 1: [(f"{app_name}.right", 1)]}
    assert sorted(set(seen[0])) == ["left", "right"]
    assert set(seen[1]) == {"right"}


async def test_a_second_member_takes_its_share_and_the_rest_goes_on_unopened(kafka: str, app_name: str) -> None:
    await make_topics(kafka, app_name, **{"in": 4, "out": 1})
    first, second = plane(kafka, app_name), plane(kafka, app_name)
    async with running(first):
        agents = {unit: session.agent for unit, session in first.sessions.items()}
        async with running(second):
            await until(lambda: len(first.sessions) == len(second.sessions) == 2 and first.ready, first, second)
            assert not set(first.sessions) & set(second.sessions)
            assert {unit: session.agent for unit, session in first.sessions.items()}.items() <= agents.items()
            produce(kafka, f"{app_name}.in", [(b"%d" % i, b"v") for i in range(400)])
            await until(lambda: first.counters.writes_out + second.counters.writes_out == 400, first, second)
        await until(lambda: len(first.sessions) == 4 and first.ready, first)
        assert first.counters.sessions_opened == 6
        assert first.counters.sessions_lost == 0


async def test_a_whole_task_has_one_worker_and_another_stands_by(kafka: str, app_name: str) -> None:
    await make_topics(kafka, app_name, **{"in": 3, "out": 1})
    task = replace(ECHO, scope="whole")
    first, second = plane(kafka, app_name, task), plane(kafka, app_name, task)
    async with running(second):
        async with running(first):
            await until(lambda: second.ready, second)
            assert [*first.sessions, *second.sessions] == [0]
            assert list(second.sessions) == [0]
            assert len(second.sessions[0].inputs) == 3
        await second.stop()
    third = plane(kafka, app_name, task)
    async with running(third):
        assert list(third.sessions) == [0]


async def test_without_writes_the_commit_is_put_off_but_not_for_long(kafka: str, app_name: str) -> None:
    class Quiet(Echo):
        def step(self, batch: Batch, now: int) -> Writes:
            return {"out": []}

    await make_topics(kafka, app_name, **{"in": 1, "out": 1})
    produce(kafka, f"{app_name}.in", [(b"k", b"v")] * 10)
    quiet = plane(kafka, app_name, replace(ECHO, build=Quiet))
    async with running(quiet):
        await until(lambda: quiet.counters.transactions == 1, quiet)
    assert await committed(kafka, quiet.group, f"{app_name}.in", 10)


async def test_stopping_commits_what_was_put_off(kafka: str, app_name: str) -> None:
    class Quiet(Echo):
        def step(self, batch: Batch, now: int) -> Writes:
            return {}

    await make_topics(kafka, app_name, **{"in": 1, "out": 1})
    produce(kafka, f"{app_name}.in", [(b"k", b"v")] * 10)
    quiet = plane(kafka, app_name, replace(ECHO, build=Quiet), replace(QUICK, commit_interval_s=60.0))
    async with running(quiet):
        await until(lambda: quiet.counters.records_in == 10, quiet)
        assert quiet.counters.transactions == 0
        started = time.monotonic()
        await quiet.stop()
        assert time.monotonic() - started < 2.0
    assert await committed(kafka, quiet.group, f"{app_name}.in", 10)


async def test_an_agent_is_stepped_although_nothing_comes(kafka: str, app_name: str) -> None:
    class Timer(Echo):
        def step(self, batch: Batch, now: int) -> Writes:
            assert not batch
            return {"out": [(b"tick", b"%d" % now, now, ())]}

    await make_topics(kafka, app_name, **{"in": 1, "out": 1})
    timer = plane(kafka, app_name, replace(ECHO, build=Timer))
    async with running(timer):
        await until(lambda: timer.counters.transactions >= 2, timer)
    assert await values(kafka, f"{app_name}.out", 2)


class Snapshots(Echo):
    """Remembers what it has read; its changelog says up to where."""

    def __init__(self, unit: int) -> None:
        super().__init__(unit)
        self.read: list[bytes | None] = []
        self.start = 0

    def restore(self, records: Sequence[Record]) -> None:
        self.start = int(records[-1].value or b"")
        self.read = [b"restored"] * self.start

    def resume(self, committed: Offsets) -> Offsets:
        return dict.fromkeys(committed, self.start)

    def step(self, batch: Batch, now: int) -> Writes:
        self.read.extend(record.value for record in batch.get("in", ()))
        return super().step(batch, now)


async def test_an_older_state_is_replayed_and_its_writes_are_dropped(kafka: str, app_name: str) -> None:
    await make_topics(kafka, app_name, **{"in": 1, "out": 1, "log": 1})
    task = Task("snap", ("in",), ("out",), "whole", Snapshots, changelog="log")
    produce(kafka, f"{app_name}.in", [(b"k", b"%d" % i) for i in range(100)])
    first = plane(kafka, app_name, task)
    async with running(first):
        await until(lambda: first.counters.writes_out == 100, first)
    produce(kafka, f"{app_name}.log", [(b"s", b"10"), (b"s", b"40")])
    produce(kafka, f"{app_name}.in", [(b"k", b"%d" % i) for i in range(100, 120)])
    second = plane(kafka, app_name, task)
    async with running(second):
        await until(lambda: second.counters.writes_out == 20, second)
        agent = second.sessions[0].agent
        assert isinstance(agent, Snapshots)
        assert agent.read == [b"restored"] * 40 + [b"%d" % i for i in range(40, 120)]
        assert (second.counters.restored, second.counters.replayed) == (2, 60)
    assert await values(kafka, f"{app_name}.out", 120) == [b"%d" % i for i in range(120)]


async def test_a_state_ahead_of_the_offsets_is_not_fed_twice(kafka: str, app_name: str) -> None:
    await make_topics(kafka, app_name, **{"in": 1, "out": 1, "log": 1})
    task = Task("snap", ("in",), ("out",), "whole", Snapshots, changelog="log")
    produce(kafka, f"{app_name}.in", [(b"k", b"%d" % i) for i in range(50)])
    produce(kafka, f"{app_name}.log", [(b"s", b"30")])
    snap = plane(kafka, app_name, task)
    async with running(snap):
        await until(lambda: snap.counters.writes_out == 20, snap)
    assert await values(kafka, f"{app_name}.out", 20) == [b"%d" % i for i in range(30, 50)]


async def test_writes_larger_than_a_batch_are_written_whole(kafka: str, app_name: str) -> None:
    class Chunks(Echo):
        def step(self, batch: Batch, now: int) -> Writes:
            return {"out": [(b"c%d" % i, b"x" * 400_000, now, ()) for i in range(12 * len(batch.get("in", ())))]}

    await make_topics(kafka, app_name, **{"in": 1, "out": 1})
    produce(kafka, f"{app_name}.in", [(b"k", b"v")])
    chunks = plane(kafka, app_name, replace(ECHO, build=Chunks), replace(QUICK, compression="gzip"))
    async with running(chunks):
        await until(lambda: chunks.counters.writes_out == 12, chunks)
    await values(kafka, f"{app_name}.out", 12)
    assert [m.key() for m in read_all(kafka, f"{app_name}.out")] == [b"c%d" % i for i in range(12)]


async def test_planes_that_use_one_model_never_step_at_the_same_time(kafka: str, app_name: str) -> None:
    await make_topics(kafka, app_name, **{"in": 2, "out": 1})
    at_work: list[int] = []
    overlaps: list[int] = []

    class Slow(Echo):
        def step(self, batch: Batch, now: int) -> Writes:
            at_work.append(1)
            overlaps.append(len(at_work))
            time.sleep(0.01)
            at_work.pop()
            return super().step(batch, now)

    locks: dict[str, asyncio.Lock] = {}
    one = plane(kafka, app_name, replace(ECHO, name="one", build=Slow, uses=lambda: ("m", "n")), locks=locks)
    two = plane(kafka, app_name, replace(ECHO, name="two", build=Slow, uses=lambda: ("n",)), locks=locks)
    async with running(one, two):
        for _ in range(10):
            produce(kafka, f"{app_name}.in", [(b"%d" % i, b"v") for i in range(20)])
        await until(lambda: one.counters.records_in == two.counters.records_in == 200, one, two)
    assert set(overlaps) == {1}
    assert set(locks) == {"m", "n"}


async def test_a_long_step_stops_neither_the_group_nor_the_other_units(kafka: str, app_name: str) -> None:
    await make_topics(kafka, app_name, **{"in": 2, "out": 1})
    release = Blocker()

    class Stuck(Echo):
        def step(self, batch: Batch, now: int) -> Writes:
            if self.unit == 0 and batch:
                release.wait()
            return super().step(batch, now)

    stuck = plane(kafka, app_name, replace(ECHO, build=Stuck))
    async with running(stuck):
        produce(kafka, f"{app_name}.in", [(b"k", b"slow")], partition=0)
        await until(lambda: release.waiting, stuck)
        began = time.monotonic()
        # Twice the session timeout: without heartbeats the group would have been lost.
        await until(lambda: time.monotonic() - began > 2 * QUICK.session_timeout_ms / 1_000, stuck)
        produce(kafka, f"{app_name}.in", [(b"k", b"quick")], partition=1)
        await until(lambda: stuck.counters.writes_out == 1, stuck)
        assert stuck.sessions[0].observe() == []
        release.go = True
        await until(lambda: stuck.counters.writes_out == 2, stuck)
        assert (stuck.counters.rebalances, stuck.counters.sessions_lost) == (1, 0)


class Blocker:
    """Holds a thread until told to let it go."""

    def __init__(self) -> None:
        self.go = self.waiting = False

    def wait(self) -> None:
        self.waiting = True
        while not self.go:
            time.sleep(0.01)


async def test_missing_topics_and_a_missing_broker_are_one_line(kafka: str, app_name: str) -> None:
    await make_topics(kafka, app_name, **{"in": 1})
    with pytest.raises(BrokerError, match=rf"topics missing .*: {app_name}.out: create them"):
        await plane(kafka, app_name).start()
    with pytest.raises(BrokerError, match=r"no Kafka broker answers at 127\.0\.0\.1:9"):
        await plane("127.0.0.1:9", app_name).start()


async def test_states_are_told(kafka: str, app_name: str) -> None:
    await make_topics(kafka, app_name, **{"in": 1, "out": 1})
    echo = plane(kafka, app_name)
    assert not echo.ready
    async with running(echo):
        session = echo.sessions[0]
        assert str(session.state) == "running"
        assert echo.group == f"{app_name}.echo"
        await until(lambda: echo.lag() == {TopicPartition(f"{app_name}.in", 0): 0}, echo)
    assert str(session.state) == "closed"
    assert session.agent is None


def test_a_plane_opens_no_connection_by_itself(app_name: str) -> None:
    assert plane("127.0.0.1:9", app_name).sessions == {}
    assert Connection("127.0.0.1:9").client() == {"bootstrap_servers": "127.0.0.1:9"}


async def test_a_member_that_works_on_what_it_has_is_no_idle_one(kafka: str, app_name: str) -> None:
    await make_topics(kafka, app_name, **{"in": 1, "out": 1})
    produce(kafka, f"{app_name}.in", [(b"k", b"v")] * 3_000)
    idle: list[float] = []

    class Slow(Echo):
        def step(self, batch: Batch, now: int) -> Writes:
            idle.append(slow._context.consumer._subscription.fetcher_idle_time)
            time.sleep(0.02)
            return super().step(batch, now)

    slow = plane(kafka, app_name, replace(ECHO, build=Slow), tuning=replace(QUICK, max_records=100))
    async with running(slow):
        await until(lambda: slow.counters.writes_out == 3_000, slow)
    # All came with one fetch: without a sign of life the last step would have been idle for as long as all took.
    assert len(idle) > 20
    assert max(idle) < 0.02 * len(idle) / 3
