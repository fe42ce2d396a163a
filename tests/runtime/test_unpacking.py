"""Records out of batches: any name of a header is read, and nothing is lost, doubled or let through because of it."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder, _DefaultRecordBatchBuilderPy
from aiokafka.record.util import calc_crc32c
from support.tiny import event, tiny
from support.world import KafkaWorld

from streamml.runtime.unpacking import BARE, Fetched, LeanRecords, install

install()
CODECS = {"none": 0, "gzip": 1}


class OddName(str):
    """A name that goes out as bytes that are no UTF-8."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return b"\xff\xfe"


def batch(
    base: int, names: Sequence[str | None], codec: str = "none", producer: int = -1, flags: int = 0
) -> tuple[bytes, int]:
    """A batch with a record for each name of a header, from the offset `base` on; and the offset that follows."""
    builder = _DefaultRecordBatchBuilderPy(
        magic=2,
        compression_type=CODECS[codec],
        is_transactional=producer >= 0,
        producer_id=producer,
        producer_epoch=0,
        base_sequence=0,
        batch_size=1 << 20,
    )
    key = b"\0\0\0\0" if flags else b"k"  # of a control record: an abort
    for number, name in enumerate(names):
        headers = [] if name is None else [(name, b"h")]
        builder.append(number, 1_000 + number, key, b"v%d" % (base + number) * 20, headers)
    built = bytearray(builder.build())
    built[0:8] = base.to_bytes(8, "big")
    built[22] |= flags
    built[17:21] = calc_crc32c(bytes(built[21:])).to_bytes(4, "big")
    return bytes(built), base + len(names)


def records(
    *batches: tuple[bytes, int], at: int = 0, aborted: Sequence[tuple[int, int]] = (), isolation: int = 1
) -> Any:
    data = b"".join(each for each, _ in batches)
    kept = fetcher.MemoryRecords(data)
    return LeanRecords(TopicPartition("t", 0), kept, list(aborted), at, None, None, True, isolation)


ODD = OddName("odd")


@pytest.mark.parametrize("codec", CODECS)
def test_an_odd_name_is_read_with_escapes_and_all_else_as_ever(codec: str) -> None:
    mixed = [None, "name", ODD, "naïve", ODD]
    unpacked = records(batch(0, [None], codec), batch(1, mixed, codec), batch(6, ["x", None], codec))
    found = list(unpacked)
    assert [type(record) for record in found] == [Fetched] * 8
    assert [record.offset for record in found] == list(range(8))
    assert [record.value for record in found] == [b"v%d" % n * 20 for n in range(8)]
    assert {type(record.value) for record in found} == {type(record.key) for record in found} == {bytes}
    names = [[name for name, _ in record.headers] for record in found]
    assert names == [[], [], ["name"], ["\\xff\\xfe"], ["naïve"], ["\\xff\\xfe"], ["x"], []]
    assert [record.timestamp for record in found] == [1_000, *range(1_000, 1_005), 1_000, 1_001]
    assert unpacked.next_fetch_offset == 8


def test_the_names_go_out_again_as_they_are_shown() -> None:
    [record] = records(batch(0, [ODD]))
    out = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
    assert out.append(0, 1, record.key, record.value, list(record.headers))


def test_reading_begins_within_an_odd_batch_and_goes_over_several() -> None:
    batches = [batch(0, [ODD, ODD, None, ODD]), batch(4, [ODD]), batch(5, [None])]
    assert [record.offset for record in records(*batches, at=2)] == [2, 3, 4, 5]


def test_an_aborted_transaction_stays_hidden_on_either_side_of_an_odd_name() -> None:
    abort = 0x20
    log = [
        batch(0, [ODD, None], producer=7),  # aborted at 5
        batch(2, [None, ODD], producer=8),  # stands
        batch(4, [None], producer=7),
        batch(5, [None], producer=7, flags=abort),
        batch(6, [ODD, None], producer=7),  # a later transaction of it, which stands
        batch(8, [ODD], producer=9),
        batch(9, [None], producer=9, flags=abort),
    ]
    unpacked = records(*log, aborted=[(7, 0), (9, 8)])
    assert [record.offset for record in unpacked] == [2, 3, 6, 7]
    assert unpacked.next_fetch_offset == 10


def result(unpacked: Any) -> Any:
    """What a fetch leaves with the consumer, which stands at offset 0."""
    state = SimpleNamespace(paused=False, position=0)
    state.consumed_to = lambda offset: setattr(state, "position", offset)
    assignment = SimpleNamespace(active=True, state_value=lambda _: state)
    made = fetcher.FetchResult(TopicPartition("t", 0), assignment=assignment, partition_records=unpacked, backoff=0)
    return made, state


def test_a_fetch_taken_whole_leaves_nothing_behind() -> None:
    unpacked = records(batch(0, [None, None]))
    made, state = result(unpacked)
    gone = weakref.ref(unpacked)
    del unpacked
    gc.collect()
    gc.disable()
    try:
        assert [record.offset for record in made.getall()] == [0, 1]
        assert gone() is None
    finally:
        gc.enable()
    assert state.position == 2
    assert made.getall() == []


def plain(record: Any) -> tuple[Any, ...]:
    return record.offset, record.timestamp, record.timestamp_type, record.key, record.value, list(record.headers)


@pytest.mark.parametrize("codec", CODECS)
def test_bare_records_are_the_same_but_for_their_place(codec: str) -> None:
    log = [batch(0, [None, "name", None], codec), batch(3, ["x", ODD, None], codec), batch(6, ["y"], codec)]
    (bare, at), (placed, there) = (result(records(*log)) for _ in range(2))
    found = bare.getall(BARE - 10_000)  # after another partition
    assert [plain(record) for record in found] == [plain(record) for record in placed.getall()]
    assert not any(hasattr(record, "topic") or hasattr(record, "partition") for record in found)
    assert at.position == there.position == 7


def test_bare_records_begin_within_a_batch() -> None:
    made, state = result(records(batch(0, [None] * 4), batch(4, [ODD] * 2), at=2))
    state.position = 2
    assert [record.offset for record in made.getall(BARE)] == [2, 3, 4, 5]


def test_after_a_broken_batch_the_position_stands_where_it_was() -> None:
    broken, end = batch(0, [None, None])
    made, state = result(records((broken[:-1] + b"!", end), batch(end, [None])))
    with pytest.raises(CorruptRecordException):
        made.getall()
    assert made.getall() == []
    assert state.position == 0


class Spoiling:
    """A builder that writes a name of a header which no string can have."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._builder, name)

    def build(self) -> bytearray:
        built = bytearray(self._builder.build())
        at = built.index(b"SPOILED")
        built[at : at + 7] = b"\xff\xfe" + built[at + 2 : at + 7]
        built[17:21] = calc_crc32c(bytes(built[21:])).to_bytes(4, "big")
        return built


async def send_spoiled(bootstrap: str, topic: str, *values: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        for value in values:
            one = producer.create_batch()
            one.append(timestamp=None, key=b"k", value=value, headers=[("SPOILED", b"x")])
            one._builder = Spoiling(one._builder)
            await (await producer.send_batch(one, topic, partition=0))
    finally:
        await producer.stop()


@pytest.mark.kafka
def test_an_event_with_an_odd_name_is_predicted_or_quarantined_and_the_next_ones_too(kafka: str, app_name: str) -> None:
    world = KafkaWorld(tiny(app_name), kafka)
    try:
        good = world.catalog.codec("events").encode(event(1))
        world.produce("events", event(0))
        asyncio.run(send_spoiled(kafka, world.topology.topic("events"), good, b"junk"))
        world.produce("events", event(2))
        assert [p["id"] for p in world.until("predictions", 3)] == ["0", "1", "2"]
        world.wait("quarantine", 1)
        [refused] = world.raw("quarantine")
        assert refused.value == b"junk"
        assert dict(refused.headers)["\\xff\\xfeOILED"] == b"x"
    finally:
        world.close()
