"""Reading spans of a log: to an offset, over holes, and never past the end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from runtime.planes import make_topics
from support.kafka import produce

from streamml.records import Record, TopicPartition
from streamml.runtime import restore
from streamml.runtime.clients import log_reader
from streamml.runtime.connection import Connection
from streamml.runtime.restore import Progress, Span, read_spans


@pytest.mark.kafka
async def test_a_span_is_read_from_its_start_up_to_its_end(kafka: str, app_name: str) -> None:
    await make_topics(kafka, app_name, log=2)
    for number in (0, 1):
        produce(kafka, f"{app_name}.log", [(b"k", b"%d" % i) for i in range(5_000)], partition=number)
    one, two = TopicPartition(f"{app_name}.log", 0), TopicPartition(f"{app_name}.log", 1)
    read: dict[TopicPartition, list[bytes | None]] = {one: [], two: []}
    seen: list[int] = []
    progress = Progress()

    async def feed(batch: Mapping[TopicPartition, Sequence[Record]]) -> None:
        seen.append(progress.done)
        for tp, records in batch.items():
            read[tp].extend(record.value for record in records)

    await read_spans(Connection(kafka), "test", {one: Span(10, 4_990), two: Span(7, 7)}, feed, progress)
    assert read == {one: [b"%d" % i for i in range(10, 4_990)], two: []}
    assert (progress.done, progress.total) == (4_980, 4_980)
    assert seen == sorted(seen)
    assert 0 < seen[-1] < 4_980


async def test_offsets_that_hold_no_record_any_more_do_not_hang() -> None:
    """Compaction removed everything from offset 3 on: the broker answers, with an end of 9, and with no record."""
    tp = TopicPartition("log", 0)
    state = SimpleNamespace(timestamp=0, lso=9)

    class Reader:
        _subscription = SimpleNamespace(
            subscription=SimpleNamespace(assignment=SimpleNamespace(state_value=lambda tp: state))
        )
        paused: Any = None

        async def getmany(self, *asked: Any, **how: Any) -> dict[Any, Any]:
            state.timestamp += 100
            return {}

        async def position(self, asked: Any) -> int:
            return 3

        def pause(self, asked: Any) -> None:
            self.paused = asked

    async def feed(batch: Mapping[TopicPartition, Sequence[Record]]) -> None:
        raise AssertionError("there is nothing to feed")

    reader, progress = Reader(), Progress(0, 6)
    await restore._drain(reader, {tp: Span(3, 9)}, feed, progress)
    assert reader.paused == tp
    assert progress.done == 6


async def test_a_reader_that_is_cut_off_while_it_starts_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a session is that ends while it opens."""
    made: list[Any] = []

    def noted(*arguments: Any) -> Any:
        made.append(log_reader(*arguments))
        return made[-1]

    async def feed(batch: Mapping[TopicPartition, Sequence[Record]]) -> None: ...

    monkeypatch.setattr(restore, "log_reader", noted)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        connection = Connection("{}:{}".format(*deaf.getsockname()))
        spans = {TopicPartition("log", 0): Span(0, 10)}
        reading = asyncio.create_task(read_spans(connection, "test", spans, feed, Progress()))
        (await asyncio.to_thread(deaf.accept))[0].close()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    assert [consumer._closed for consumer in made] == [True]
