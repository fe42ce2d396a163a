"""Finding schemas, and saying what is wrong with them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import orjson
import pytest

from streamml.errors import SchemaError
from streamml.schemas import load_schema
from streamml.schemas.load import SHIPPED

GOOD = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "long"}]}
DATA = SHIPPED[0].parent / "data"


def write(path: Path, schema: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(orjson.dumps(schema))
    return path


def test_a_name_is_looked_up_beside_the_topology_then_here_then_among_the_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    topology = tmp_path / "project" / "topology" / "mine.py"
    topology.parent.mkdir(parents=True)
    assert load_schema("elec2.event")["name"] == "Event"
    write(tmp_path / "schemas" / "elec2.event.avsc", {**GOOD, "name": "Here"})
    assert load_schema("elec2.event", topology)["name"] == "Here"
    write(tmp_path / "project" / "schemas" / "elec2.event.avsc", {**GOOD, "name": "Beside"})
    assert load_schema("elec2.event", topology)["name"] == "Beside"
    assert load_schema("elec2.event", topology.parent)["name"] == "Beside"


def test_a_path_or_the_schema_itself(tmp_path: Path) -> None:
    path = write(tmp_path / "r.avsc", GOOD)
    assert load_schema(path) == load_schema(str(path)) == load_schema(GOOD) == GOOD
    assert load_schema("r.avsc", tmp_path) == GOOD


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "enum", "name": "E", "symbols": ["A"]}, "is not a record"),
        ({"type": "record", "name": "R", "fields": [{"name": "a", "type": "strin"}]}, "strin"),
        ({"type": "record", "name": "R", "fields": [{"name": "a", "type": "long"}] * 2}, "field a is declared twice"),
        ({"type": "record", "name": "R", "fields": [{"name": "a b", "type": "long"}]}, "field 'a b'"),
        ({"type": "record", "name": "R", "fields": [{"name": "a", "type": ["null", "null"]}]}, "union at a"),
        ({"type": "record", "name": "R", "fields": [{"name": "a", "type": ["null", ["long"]]}]}, "union at a"),
        ({"type": "record", "name": "R", "fields": [{"name": "a", "type": "long", "default": "x"}]}, "efault"),
        ({"type": "record", "name": "R", "fields": [{"name": "a", "type": ["null", "R"]}]}, "contains itself"),
        (
            {"type": "record", "name": "R", "fields": [{"name": "a", "type": {"type": "array", "items": "null"}}]},
            "array",
        ),
        ({}, "not an Avro schema"),
    ],
)
def test_a_bad_schema_is_one_line(schema: dict[str, Any], says: str, tmp_path: Path) -> None:
    path = write(tmp_path / "bad.avsc", schema)
    for given in (schema, path):
        with pytest.raises(SchemaError) as refused:
            load_schema(given)
        assert says in str(refused.value)
        assert "\n" not in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_bad_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.avsc"
    path.write_text('{\n"type": record\n}')
    with pytest.raises(SchemaError, match=r"bad\.avsc:2: not JSON"):
        load_schema(path)
    with pytest.raises(SchemaError, match=r"no schema nowhere; looked for .*nowhere\.avsc"):
        load_schema("nowhere")


def test_a_schema_nested_without_end_is_refused() -> None:
    schema: Any = "long"
    for _ in range(5_000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(SchemaError):
        load_schema({"type": "record", "name": "R", "fields": [{"name": "a", "type": schema}]})


@pytest.mark.parametrize(
    ("name", "file", "own"),
    [("elec2", "elec2.csv.gz", {"id"}), ("covertype", "covertype-50k.csv.gz", {"id", "time"})],
)
def test_the_shipped_events_and_labels_have_the_columns_of_their_data(name: str, file: str, own: set[str]) -> None:
    with gzip.open(DATA / file, "rt") as rows:
        columns = rows.readline().strip().split(",")
    event = [field["name"] for field in load_schema(f"{name}.event")["fields"]]
    label = [field["name"] for field in load_schema(f"{name}.label")["fields"]]
    assert [field for field in event if field not in own] == columns[:-1]
    assert label == ["id", columns[-1], "time"]
