"""Validate: good records go on in canonical form, bad ones to quarantine untouched, and no bytes raise."""

from __future__ import annotations

from typing import Any

import pytest
from agents.elec2 import Bench, records, rows, to_json, topology
from hypothesis import given
from hypothesis import strategies as st

from streamml.agents.quarantine import ERROR, REASON
from streamml.errors import DeclarationError
from streamml.records import LogRecord, Write
from streamml.topology import Check, Classification, Events, Feedback, MaxSize, Regression

AVRO, JSON = Bench(topology("avro")), Bench(topology("json"))
ROWS = rows(200)
NOW = ROWS[-1][0]["timestamp"]
EVENT = ROWS[0][0]
LABEL = {"id": "e-0", "class": "UP", "time": NOW}


def reason(bench: Bench, write: Write) -> dict[str, Any]:
    """Why a record is in quarantine; it must be there untouched."""
    headers = dict(write[3])
    assert headers["h"] == b"1"
    found = bench.reasons.decode(headers[REASON])
    assert headers[ERROR].decode().endswith(found["error"])
    assert "\n" not in found["error"]
    return found


def one_event(bench: Bench, value: bytes | None) -> dict[str, Any] | None:
    """The reason for which an event is refused; None if it is valid."""
    (record,) = records("events", [value])
    valid, refused = bench.judged([record], NOW)
    assert len(valid) + len(refused) == 1
    if valid:
        assert valid[0][3] is record
        return None
    assert refused[0][:3] == (record.key, record.value, record.timestamp)
    return reason(bench, refused[0])


def one_label(bench: Bench, value: bytes | None) -> dict[str, Any] | Write:
    (record,) = records("feedback", [value])
    writes, refused = bench.validate.labels([record], NOW)
    assert len(writes) + len(refused) == 1
    return writes[0] if writes else reason(bench, refused[0])


@pytest.mark.parametrize(("bench", "encode"), [(AVRO, AVRO.event.encode), (JSON, to_json)])
def test_good_events_go_on_in_order(bench: Bench, encode: Any) -> None:
    batch = records("events", [encode(event) for event, _ in ROWS])
    valid, refused = bench.judged(batch, NOW)
    assert refused == []
    assert valid == [(e["id"], e["timestamp"], e, r) for (e, _), r in zip(ROWS, batch, strict=True)]
    assert list(valid[0][2]) == [field["name"] for field in bench.event.schema["fields"]]


@pytest.mark.parametrize(("bench", "encode"), [(AVRO, AVRO.label.encode), (JSON, to_json)])
def test_good_labels_are_keyed_anew(bench: Bench, encode: Any) -> None:
    values = [encode({"id": e["id"], "class": label, "time": e["timestamp"] + 5}) for e, label in ROWS]
    writes, refused = bench.validate.labels(records("feedback", values), NOW)
    assert refused == []
    for (event, label), (key, value, time, headers) in zip(ROWS, writes, strict=True):
        assert key == event["id"].encode()
        assert value is not None
        assert bench.labels.decode(value) == {"value": label, "time": event["timestamp"] + 5, "id": event["id"]}
        assert (time, headers) == (event["timestamp"] + 5, ())


def framed(**changes: Any) -> bytes:
    return AVRO.event.encode({**EVENT, **changes})


GOOD = framed()
NASTY: dict[str, tuple[bytes | None, str, str | None]] = {
    "tombstone": (None, "empty", None),
    "empty": (b"", "empty", None),
    "header only": (GOOD[:5], "truncated", None),
    "truncated": (GOOD[:-1], "truncated", None),
    "trailing byte": (GOOD + b"\0", "trailing", None),
    "wrong magic byte": (b"\1" + GOOD[1:], "magic", None),
    "unknown schema id": (b"\0\0\0\0\1" + GOOD[5:], "schema_id", None),
    "schema id of another topic": (b"\0" + AVRO.label.id.to_bytes(4, "big") + GOOD[5:], "schema_id", None),
    "json instead": (to_json(EVENT), "magic", None),
    "NaN": (framed(nswprice=float("nan")), "finite", "nswprice"),
    "inf": (framed(transfer=float("inf")), "finite", "transfer"),
    "1e308": (framed(vicprice=1e308), "finite", "vicprice"),
    "no id": (framed(id=""), "id", "id"),
    "long id": (framed(id="x" * 257), "id", "id"),
    "before 1970": (framed(timestamp=-1), "event_time", "timestamp"),
    "after 9999": (framed(timestamp=1 << 62), "event_time", "timestamp"),
    "in the future": (framed(timestamp=NOW + 3_600_001), "event_time", None),
    "out of range": (framed(nswprice=1.5), "range", "nswprice"),
    "no such day": (framed(day=8), "one_of", "day"),
    "a check fails": (framed(period=-1.0), "check:period", None),
    "1 MB of zeros": (b"\0" * (1 << 20), "schema_id", None),
    "1 MB of zeros behind a header": (GOOD[:5] + b"\0" * ((1 << 20) - 5), "trailing", None),
    "too large": (b"\0" * ((1 << 20) + 1), "max_size", None),
    "absurd length": (GOOD[:5] + b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\1", "truncated", None),
    "negative length": (GOOD[:5] + b"\1" + GOOD[6:], "malformed", None),
    "not UTF-8": (GOOD[:5] + b"\2\xff" + GOOD[9:], "malformed", None),
}


@pytest.mark.parametrize("case", NASTY)
def test_nasty_avro(case: str) -> None:
    value, rule, field = NASTY[case]
    found = one_event(AVRO, value)
    assert found is not None
    assert (found["rule"], found["field"]) == (rule, field), found["error"]
    place = {name: found[name] for name in ("topic", "partition", "offset", "agent", "at")}
    assert place == {"topic": "elec2.events", "partition": 1, "offset": 0, "agent": "validate", "at": NOW}


@pytest.mark.parametrize(
    ("text", "rule", "field"),
    [
        (b"", "empty", None),
        (b"{", "json", None),
        (b"[1]", "schema", None),
        (b'"\xff"', "json", None),
        (to_json({**EVENT, "day": True}), "schema", "day"),
        (to_json({**EVENT, "day": 1.0}), "schema", "day"),
        (to_json({**EVENT, "nswprice": "0.1"}), "schema", "nswprice"),
        (to_json({**EVENT, "nswprice": True}), "schema", "nswprice"),
        (to_json({**EVENT, "nswprice": None}), "schema", "nswprice"),
        (to_json({**EVENT, "nswprice": 1e308}), "finite", "nswprice"),
        (to_json(EVENT).replace(b"0.056443", b"NaN"), "json", None),
        (to_json(EVENT).replace(b"0.056443", b"1" + b"0" * 400), "json", None),
        (to_json({**EVENT, "timestamp": "soon"}), "schema", "timestamp"),
        (to_json({**EVENT, "timestamp": "9999-12-31T23:59:59-10:00"}), "event_time", "timestamp"),
        (to_json({"id": "e"}), "schema", "timestamp"),
        (b"\0" * (1 << 20), "json", None),
    ],
)
def test_nasty_json(text: bytes, rule: str, field: str | None) -> None:
    found = one_event(JSON, text)
    assert found is not None
    assert (found["rule"], found["field"]) == (rule, field), found["error"]


@pytest.mark.parametrize(
    ("label", "rule", "field"),
    [
        ({"class": "up"}, "label", "class"),
        ({"class": ""}, "label", "class"),
        ({"id": ""}, "id", "id"),
        ({"time": -1}, "label_time", "time"),
        ({"time": 1 << 60}, "label_time", "time"),
    ],
)
def test_bad_labels(label: dict[str, Any], rule: str, field: str) -> None:
    for bench, value in ((AVRO, AVRO.label.encode({**LABEL, **label})), (JSON, to_json({**LABEL, **label}))):
        found = one_label(bench, value)
        assert isinstance(found, dict)
        assert (found["rule"], found["field"]) == (rule, field)
        assert found["topic"] == "elec2.feedback"


def feedback(kind: Any, target: Any, type_name: str) -> Bench:
    fields = [{"name": "id", "type": "long"}, {"name": "y", "type": kind}]
    schema = {"type": "record", "name": "L", "fields": fields}
    return Bench(topology("json", target=target, feedback=Feedback(schema, "id", "y", format="json")), type_name)


def test_a_label_of_the_wrong_type() -> None:
    number, flag, value = (
        feedback("int", Classification(0, 1), "long"),
        feedback("boolean", Classification(False, True), "boolean"),
        feedback("double", Regression(), "double"),
    )
    for bench, good, bad in (
        (number, 1, [True, 1.0, "1", 2]),
        (flag, True, [1, "true", None]),
        (value, 2, [True, "2"]),
    ):
        write = one_label(bench, to_json({"id": 7, "y": good}))
        assert isinstance(write, tuple)
        key, data, time, _ = write
        assert (key, time) == (b"7", 1_000), "an integer id in decimal, and the record's own time"
        assert data is not None
        assert bench.labels.decode(data)["value"] == good
        assert type(bench.labels.decode(data)["value"]) is (float if bench is value else type(good))
        for wrong in bad:
            found = one_label(bench, to_json({"id": 7, "y": wrong}))
            assert isinstance(found, dict)
            assert found["rule"] in ("schema", "label")
    found = one_label(value, to_json({"id": 7, "y": 1e308}))
    assert isinstance(found, dict)
    assert found["rule"] == "finite"


def test_a_record_without_a_time_has_no_label_time() -> None:
    bench = feedback("int", Classification(0, 1), "long")
    record = LogRecord("elec2.feedback", 0, 0, -1, None, to_json({"id": 7, "y": 1}), ())
    writes, refused = bench.validate.labels([record], NOW)
    assert writes == []
    assert "the record's timestamp" in dict(refused[0][3])[ERROR].decode()


def test_a_bad_record_does_not_hold_back_the_others() -> None:
    batch = records("events", [GOOD, None, GOOD, b"junk", GOOD])
    valid, refused = AVRO.judged(batch, NOW)
    assert [record.offset for *_, record in valid] == [0, 2, 4]
    assert len(refused) == 2


def test_what_was_refused_is_counted_by_rule() -> None:
    bench = Bench(topology("avro"))
    bench.judged(records("events", [None, b"", b"x", bench.event.encode(EVENT)]), NOW)
    bench.validate.labels(records("feedback", [b"x"]), NOW)
    assert bench.validate.counts == {"empty": 2, "magic": 2}


def test_a_declared_size_bounds_both_topics() -> None:
    bench = Bench(topology("avro", rules=(MaxSize(20),)))
    found = one_event(bench, GOOD)
    assert found is not None
    assert found["error"] == f"the value has {len(GOOD)} bytes; expected at most 20"
    label = one_label(bench, b"x" * 21)
    assert isinstance(label, dict)
    assert label["rule"] == "max_size"


def test_a_check_that_raises_refuses() -> None:
    def broken(event: Any) -> bool:
        raise ValueError("\ud800 not\na line")

    bench = Bench(topology("avro", rules=(Check("mine", broken),)))
    found = one_event(bench, GOOD)
    assert found is not None
    assert found["rule"] == "check:mine"
    assert "ValueError: \\ud800 not a line" in found["error"]


def test_a_mistaken_declaration_is_refused_before_the_first_record() -> None:
    with pytest.raises(DeclarationError, match="did you mean timestamp"):
        Bench(topology(events=Events("elec2.event", id="id", time="timestmp")))


@given(st.binary(max_size=300))
def test_no_bytes_raise(value: bytes) -> None:
    for bench in (AVRO, JSON):
        header = bench.event.header, bench.label.header
        one_event(bench, value)
        one_event(bench, header[0] + value)
        one_label(bench, value)
        one_label(bench, header[1] + value)
