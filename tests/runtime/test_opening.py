"""The order in which a unit is opened: the former owner is fenced before anything is read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest
from runtime.planes import Echo

from streamml.agents.agent import Offsets
from streamml.engine.task import Task
from streamml.errors import BrokerError, StreammlError
from streamml.records import TopicPartition
from streamml.runtime import opening
from streamml.runtime.clients import Tuning
from streamml.runtime.connection import Connection
from streamml.runtime.context import Context
from streamml.runtime.opening import open_unit
from streamml.runtime.outbox import Outbox
from streamml.runtime.pace import Gathering
from streamml.runtime.restore import Progress
from streamml.runtime.stepper import Stepper

IN = TopicPartition("app.in", 0)


class Broker:
    """Notes what is asked of it, as consumer and as outbox."""

    def __init__(self, committed: int | None, begin: int, end: int) -> None:
        self.asked: list[str] = []
        self._committed, self._begin, self._end = committed, begin, end

    async def start(self) -> None:
        await asyncio.sleep(0)
        self.asked.append("fence")

    async def committed(self, tp: Any) -> int | None:
        self.asked.append("committed")
        return self._committed

    async def beginning_offsets(self, tps: Sequence[Any]) -> dict[Any, int]:
        return dict.fromkeys(tps, self._begin)

    async def end_offsets(self, tps: Sequence[Any]) -> dict[Any, int]:
        return dict.fromkeys(tps, self._end)


async def open_at(
    broker: Broker, state_at: int = 0, needs: int | None = None, name: str = "echo"
) -> dict[TopicPartition, int]:
    """`state_at`: the offset that the agent's own state has reached; `needs`: the one that it asks for in any case."""

    class Noting(Echo):
        def __init__(self, unit: int) -> None:
            super().__init__(unit)
            broker.asked.append("build")

        def resume(self, committed: Offsets) -> Offsets:
            broker.asked.append("resume" if committed else "resume from nothing")
            if needs is not None:
                return {IN: needs}
            return {tp: max(offset, state_at) for tp, offset in committed.items()}

    task = Task(name, ("in",), ("out",), "partition", Noting)
    context = Context(
        "app",
        task,
        Connection("127.0.0.1:9"),
        lambda: 0,
        {"in": "app.in", "out": "app.out"},
        {},
        Tuning(),
        None,
        broker,
        Gathering(20, 500),
    )
    return await open_unit(context, 0, {IN: "in"}, cast(Outbox, broker), Stepper(context, 0), Progress())


async def test_the_former_owner_is_fenced_before_the_offsets_are_read() -> None:
    broker = Broker(committed=7, begin=0, end=9)
    assert await open_at(broker) == {IN: 7}
    assert broker.asked == ["fence", "committed", "build", "resume"]


async def test_what_was_never_committed_is_read_from_its_beginning() -> None:
    assert await open_at(Broker(committed=None, begin=3, end=9)) == {IN: 3}


async def test_a_topic_made_anew_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_SETTLING_S", 0.0)
    with pytest.raises(
        BrokerError, match=r"app.in/0 ends at offset 2 but app.echo committed 7: the topic was made anew"
    ):
        await open_at(Broker(committed=7, begin=0, end=2))
    with pytest.raises(
        BrokerError, match=r"app.in/0 ends at offset 2 but app.echo has a state at 7: the topic was made"
    ):
        await open_at(Broker(committed=None, begin=0, end=2), state_at=7)


async def test_a_state_ahead_of_expired_offsets_is_read_on_from() -> None:
    assert await open_at(Broker(committed=None, begin=0, end=9), state_at=7) == {IN: 7}


async def test_what_was_deleted_before_it_was_read_is_passed_over_and_told(caplog: pytest.LogCaptureFixture) -> None:
    assert await open_at(Broker(committed=3, begin=5, end=9)) == {IN: 5}
    assert "app.echo: offsets 3 to 4 of app.in/0 were deleted by retention before they were read" in caplog.text


async def test_a_state_that_needs_what_was_deleted_is_refused_in_one_line() -> None:
    broker = Broker(committed=7, begin=5, end=9)
    with pytest.raises(StreammlError) as refused:
        await open_at(broker, needs=2, name="learn:lr")
    assert type(refused.value) is StreammlError  # None of those after which a session is opened again.
    assert str(refused.value) == (
        "app.in/0 begins at offset 5: what app.learn.lr needs from offset 2 on was deleted, and no state of it that "
        "can be used reaches past that; begin a new lineage after the cut: streamml models exclude TOPOLOGY lr "
        "--from 0 --to POSITION, where `streamml doctor TOPOLOGY` names the position"
    )
    with pytest.raises(StreammlError, match=r"app.in/0 begins at offset 5: .* the topology another name"):
        await open_at(broker, needs=4)


async def test_where_nothing_was_committed_and_the_beginning_is_gone_nothing_counts_as_read() -> None:
    broker = Broker(committed=None, begin=5, end=9)
    # So that an agent may take a state beyond the beginning, as where nothing was deleted.
    assert await open_at(broker, needs=7) == {IN: 7}
    assert broker.asked[-1] == "resume from nothing"
    with pytest.raises(StreammlError, match="begins at offset 5"):
        await open_at(broker, needs=0, name="learn:lr")
    assert await open_at(Broker(committed=None, begin=5, end=9)) == {IN: 5}
