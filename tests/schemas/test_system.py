"""The schemas of our own topics: whole, generic, and laid out for those who read a part of them."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamml.errors import SchemaError
from streamml.schemas import Codec, system_schemas
from streamml.schemas.canonical import expanded

VALUES = [("x", "double", False), ("a", "long", False), ("m", "string", True)]


@pytest.mark.parametrize(("label", "classes"), [("string", True), ("long", True), ("boolean", True), ("double", False)])
def test_every_schema_is_whole(label: str, classes: bool) -> None:
    schemas = system_schemas(VALUES, label, classes)
    assert list(schemas) == [
        "features",
        "predictions",
        "labels",
        "examples",
        "metrics",
        "alerts",
        "control",
        "models",
        "quarantine",
    ]
    for schema in schemas.values():
        fastavro.parse_schema(json.loads(json.dumps(schema)))
        Codec(schema, 1)


def test_features_are_sorted_and_optional_ones_are_null_unless_given() -> None:
    fields = system_schemas(VALUES, "string", True)["features"]["fields"][-1]["type"]["fields"]
    assert fields == [
        {"name": "a", "type": "long"},
        {"name": "m", "type": ["null", "string"], "default": None},
        {"name": "x", "type": "double"},
    ]


def test_the_output_follows_from_the_target() -> None:
    for label, classes, names in (("long", True, ["label", "probabilities"]), ("double", False, ["value"])):
        output = system_schemas(VALUES, label, classes)["predictions"]["fields"][0]["type"]
        assert [field["name"] for field in output["fields"]] == names


@pytest.mark.parametrize(("label", "classes"), [("string", True), ("double", False)])
def test_the_output_of_a_shadow_is_that_of_the_champion(label: str, classes: bool) -> None:
    schemas = system_schemas(VALUES, label, classes)
    examples: Any = expanded(schemas["examples"])
    predictions: Any = expanded(schemas["predictions"])
    for prediction in (predictions, examples["fields"][1]["type"]):
        output, shadows = (field["type"] for field in prediction["fields"][:2])
        assert shadows["items"]["fields"][-1] == {"name": "output", "type": output}


def test_no_shadows_are_one_byte_that_can_stand_with_what_a_batch_has_in_common() -> None:
    predictions = Codec(system_schemas(VALUES, "double", False)["predictions"], 1)
    output = {"value": 1.5}
    common = {"model": "m", "digest": "d", "position": 1, "staleness": 2, "served_at": 3}
    own = {"output": output, "event_time": 4, "id": "e"}
    of_batch, encode = predictions.halves("shadows", *common)
    assert encode(own, of_batch(common)) == predictions.encode({**own, **common, "shadows": []})
    shadows = [{"model": "s", "digest": "d", "position": 7, "output": output}] * 2
    of_batch, encode = predictions.halves(*common)
    data = encode({**own, "shadows": shadows}, of_batch(common))
    assert predictions.decode(data) == {**own, **common, "shadows": shadows}


def test_a_metric_has_no_slices_unless_given() -> None:
    metrics = Codec(system_schemas(VALUES, "double", False)["metrics"], 1)
    names = ("metrics", "cumulative", "baselines", "baselines_cumulative")
    counts = dict.fromkeys(("window", "first_position", "count", "scored", "at"), 0)
    record = {"model": "m", "digest": "d", "losses": [], **{name: {} for name in names}, **counts}
    assert metrics.decode(metrics.encode(record))["slices"] == {}
    slices = {"day=1": {"count": 3, "loss": 0.25}}
    assert metrics.decode(metrics.encode({**record, "slices": slices}))["slices"] == slices


def test_a_label_of_another_type() -> None:
    with pytest.raises(SchemaError, match="a label cannot be of type bytes"):
        system_schemas(VALUES, "bytes", True)


def test_times_have_their_logical_type_for_readers_outside() -> None:
    schema = system_schemas(VALUES, "string", True)["labels"]
    data = Codec(schema, 1).encode({"value": "UP", "time": 1_700_000_000_000, "id": "e"})
    read: Any = fastavro.schemaless_reader(BytesIO(data[5:]), fastavro.parse_schema(schema), None)
    assert read["time"].isoformat() == "2023-11-14T22:13:20+00:00"


@given(
    st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True), st.booleans(), min_size=1, max_size=5)
)
def test_any_feature_names_make_a_schema(names: dict[str, bool]) -> None:
    Codec(system_schemas([(n, "double", optional) for n, optional in names.items()], "string", True)["examples"], 1)
