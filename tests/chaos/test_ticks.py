"""What is sent: the same from the same seed, readable by streamml's own readers, as careless as it is meant to be."""

from __future__ import annotations

from collections import Counter

import numpy as np
from chaos.codes import code_of, id_in_event, id_of
from chaos.expected import Told, expect, read_label, read_taken, statement
from chaos.sender import framing, partitioner
from chaos.storm import HORIZON_MS, storm
from chaos.ticks import Fate, Outgoing, Pace, Ticks, block, varint
from support.tiny import START

from streamml.engine.catalog import Catalog
from streamml.errors import DecodeError

PACE = Pace(2_000, 3)
TOPOLOGY = storm("ticks")
CATALOG = Catalog.in_memory(TOPOLOGY)
FRAMING = framing(TOPOLOGY)


def records(producer: int, ticks: int) -> list[Outgoing]:
    made = Ticks(7, producer, PACE, FRAMING)
    return [out for tick in range(ticks) for out in made.at(tick)]


def test_the_same_seed_sends_the_same_bytes() -> None:
    once = records(1, 3_000)
    block.cache_clear()
    assert records(1, 3_000) == once
    assert records(2, 3_000) != once


def test_streamml_reads_what_is_well_formed_and_refuses_what_is_not() -> None:
    read = {"events": CATALOG.events.read, "feedback": CATALOG.feedback.read}
    kinds = Counter[str]()
    for out in records(0, 5_000):
        if not out.key.startswith(b"m"):
            value = read[out.role](out.value)
            assert value["id"].encode() == id_in_event(out.value or b"")
            kinds[out.role] += 1
        else:
            try:
                # What only the rules refuse can be decoded.
                value = read[out.role](out.value)
                assert not value["id"] or value["temperature"] > 60
            except DecodeError as error:
                kinds[error.rule] += 1
    assert kinds["events"] > 5_000
    assert kinds["feedback"] > 4_000
    assert {"empty", "truncated", "trailing", "magic"} <= kinds.keys()


def test_labels_are_read_as_they_were_written() -> None:
    codec, made = CATALOG.codec("labels"), Ticks(7, 0, PACE, FRAMING)
    for wet in (True, False):
        time = START + 12_345
        assert read_label(made.label(b"0-77", time, wet)) == (code_of(b"0-77"), statement(time, wet))
        assert read_taken(codec.encode({"value": wet, "time": time, "id": "0-77"})) == statement(time, wet)


def test_every_fate_is_met() -> None:
    fates = Counter(int(fate) for number in range(10) for fate in block(7, 0, number).fate)
    assert set(fates) == {int(fate) for fate in Fate}
    assert 0.8 < fates[Fate.TIMELY] / fates.total() < 0.9


def test_a_late_label_is_late_and_an_early_one_early() -> None:
    made = Ticks(7, 0, PACE, FRAMING)
    late = early = 0
    for tick in range(3_000):
        fate, time = block(7, 0, tick // 1_000).fate[tick % 1_000], PACE.time(0, tick)
        known = [
            CATALOG.feedback.read(out.value)["at"]
            for out in made.at(tick)
            if out.role == "feedback" and out.key[:1] not in (b"x", b"m")
        ]
        if fate == Fate.LATE:
            assert [at > time + HORIZON_MS for at in known] == [True]
            late += 1
        elif fate == Fate.EARLY:
            assert [at < time - 1_000 for at in known] == [True]
            early += 1
        elif fate == Fate.NEVER:
            assert known == []
    assert late > 50
    assert early > 10


def test_what_is_due_later_is_not_expected_yet() -> None:
    until = PACE.time(0, 1_000)
    found = expect(7, Pace(2_000, 1), FRAMING, [Told(1_000, until)])
    sent = [out for tick in range(1_000) for out in Ticks(7, 0, Pace(2_000, 1), FRAMING).at(tick) if out.due <= until]
    good = [out for out in sent if not out.key.startswith(b"m")]
    assert len(found.events) == sum(out.role == "events" for out in good)
    assert len(found.feedback) == len(found.said) == sum(out.role == "feedback" for out in good)
    assert found.malformed.total() == len(sent) - len(good)
    assert -1 in found.label[-100:]


def test_rows_are_those_of_the_producers_in_turn() -> None:
    found = expect(7, PACE, FRAMING, [Told(10, START), Told(5, START), Told(7, START)])
    assert found.count == 22
    assert found.rows(np.array([code_of(b"1-3")])).tolist() == [13]
    assert found.temperature[13] == block(7, 1, 0).temperature[3]
    assert found.knows(code_of(b"1-4"))
    assert not any(found.knows(code_of(id)) for id in (b"x1-3", b"1-5", b"3-0"))


def test_codes_and_ids() -> None:
    for id in (b"0-0", b"3-4000000", b"x2-17"):
        assert id_of(code_of(id)) == id


def test_both_partitioners_are_used_and_never_the_same_for_one_id() -> None:
    for producer in range(2):
        assert {partitioner(producer, "events"), partitioner(producer, "feedback")} == {
            "murmur2_random",
            "consistent_random",
        }
    assert partitioner(0, "events") != partitioner(1, "events")


def test_varints() -> None:
    assert [varint(n) for n in (0, -1, 1, 64, -65)] == [b"\0", b"\1", b"\2", b"\x80\1", b"\x81\1"]
