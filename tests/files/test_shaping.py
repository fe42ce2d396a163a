"""Rows become records: by the schema, or not at all."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import pytest

from streamml import Classification, Events, Feedback, Model, Topology, Transform
from streamml.errors import DecodeError, StreammlError
from streamml.files import Row, Shape
from streamml.schemas.canonical import canonical

MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
EVENT = {
    "type": "record",
    "name": "Event",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "at", "type": MILLIS},
        {"name": "x", "type": "double"},
        {"name": "n", "type": ["null", "int"], "default": None},
        {"name": "kind", "type": ["null", "string"]},
        {"name": "ok", "type": "boolean", "default": True},
        {"name": "f", "type": ["int", "double"], "default": 0},
    ],
}
LABEL = {
    "type": "record",
    "name": "Label",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "y", "type": "boolean"},
        {"name": "known", "type": MILLIS},
    ],
}
SCHEMAS: dict[str, Any] = {"events": EVENT, "feedback": LABEL}
GOOD = {"id": "7", "at": "2024-01-01T00:00:00Z", "x": "1.5", "n": "3", "kind": "a", "ok": "false", "f": "2.5"}
NEW_YEAR = 1_704_067_200_000


def topology(*, entity: str | None = None, time: str | None = "known") -> Topology:
    return Topology(
        name="shop",
        events=Events(EVENT, id="id", time="at", entity=entity),
        transform=Transform("x"),
        target=Classification(False, True),
        models=(Model("none", object),),
        feedback=Feedback(LABEL, id="id", label="y", time=time),
    )


def shape(role: Literal["events", "feedback"] = "events", declared: Topology | None = None, **options: Any) -> Shape:
    return Shape(declared or topology(), role, SCHEMAS, **options)


def test_the_schemas_of_these_tests_are_schemas() -> None:
    assert canonical(EVENT)
    assert canonical(LABEL)


def test_text_becomes_the_types_of_the_schema() -> None:
    found = shape().record(Row(0, 2, GOOD, True))
    assert found == (
        b"7",
        {"id": "7", "at": NEW_YEAR, "x": 1.5, "n": 3, "kind": "a", "ok": False, "f": 2.5},
        None,
    )


def test_an_empty_cell_is_null_or_the_default_or_refused() -> None:
    found = shape().record(Row(0, 2, {**GOOD, "n": "", "kind": " ", "ok": "", "f": "3"}, True)).value
    assert (found["n"], found["kind"], found["ok"], found["f"]) == (None, None, True, 3)
    with pytest.raises(DecodeError, match="field x is missing") as caught:
        shape().record(Row(0, 2, {**GOOD, "x": ""}, True))
    assert caught.value.field == "x"


@pytest.mark.parametrize(
    ("field", "cell"),
    [
        ("x", "abc"),
        ("x", "nan"),
        ("x", "-inf"),
        ("x", "1_000"),
        ("x", "0x1p3"),
        ("n", "1.0"),
        ("n", str(2**31)),
        ("n", "9" * 5_000),
        ("n", "٣"),
        ("ok", "maybe"),
        ("at", "yesterday"),
    ],
)
def test_a_cell_of_another_type_is_refused_by_name(field: str, cell: str) -> None:
    with pytest.raises(DecodeError) as caught:
        shape().record(Row(0, 2, {**GOOD, field: cell}, True))
    assert caught.value.field == field
    assert len(str(caught.value)) < 300


def test_json_values_keep_their_types() -> None:
    good: dict[str, Any] = {"id": "7", "at": 5, "x": 1, "kind": None}
    assert shape().record(Row(0, 1, good, False)).value["x"] == 1.0
    with pytest.raises(DecodeError, match="field x"):
        shape().record(Row(0, 1, {**good, "x": "1"}, False))


def test_columns_are_renamed() -> None:
    row = Row(0, 2, {**GOOD, "price": "9"}, True)
    assert shape(columns={"x": "price"}).record(row).value["x"] == 9.0


def test_rows_without_an_id_meet_by_their_numbers() -> None:
    event, label = dict(GOOD), {"y": "true", "at": GOOD["at"]}
    del event["id"]
    one = shape(id_prefix="file-").record(Row(41, 43, event, True))
    other = shape("feedback", id_prefix="file-", delay=timedelta(hours=1)).record(Row(41, 43, label, True))
    assert one.key == other.key == b"file-41"
    assert one.value["id"] == other.value["id"] == "file-41"


def test_a_delay_is_added_to_the_time_of_the_event() -> None:
    row = Row(0, 2, {"id": "7", "y": "1", "at": "2024-01-01"}, True)
    found = shape("feedback", delay=timedelta(hours=2)).record(row)
    assert found.value == {"id": "7", "y": True, "known": NEW_YEAR + 7_200_000}
    assert found.timestamp is None


def test_a_label_without_a_time_field_is_known_at_its_kafka_timestamp() -> None:
    declared = topology(time=None)
    row = Row(0, 2, {"id": "7", "y": "1", "at": "2024-01-01", "known": "5"}, True)
    assert shape("feedback", declared, delay=timedelta(seconds=1)).record(row).timestamp == NEW_YEAR + 1_000


def test_a_row_whose_event_time_is_missing_is_refused() -> None:
    with pytest.raises(DecodeError, match="the event's time"):
        shape("feedback", delay=timedelta(0)).record(Row(0, 1, {"id": "7", "y": True}, False))


def test_the_key_is_the_entity_where_there_is_one() -> None:
    assert shape(declared=topology(entity="kind")).record(Row(0, 2, GOOD, True)).key == b"a"
    assert shape(declared=topology(entity="kind")).record(Row(0, 2, {**GOOD, "kind": ""}, True)).key == b"7"


def test_a_file_without_a_needed_column_is_refused_at_once() -> None:
    shape().check_columns(["at", "x", "kind"])
    with pytest.raises(StreammlError, match="the field 'kind' of events; name it with --columns kind=COLUMN"):
        shape().check_columns(["id", "at", "x"])
    with pytest.raises(StreammlError, match=r"no column for the field 'known' of feedback.*or give --delay"):
        shape("feedback").check_columns(["id", "y", "at"])
    shape("feedback", delay=timedelta(1)).check_columns(["id", "y", "at"])
    with pytest.raises(StreammlError, match="no column 'at' to add the delay to"):
        shape("feedback", delay=timedelta(1)).check_columns(["id", "y"])
    with pytest.raises(StreammlError, match="no column 'price' for the field 'x'"):
        shape(columns={"x": "price"}).check_columns(["id", "at", "x", "kind"])


def test_options_that_cannot_be_meant() -> None:
    with pytest.raises(StreammlError, match="no field 'z' in the schema of events; its fields are id, at"):
        shape(columns={"z": "x"})
    with pytest.raises(StreammlError, match="a delay is for feedback"):
        shape(delay=timedelta(1))
