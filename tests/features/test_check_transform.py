"""Mistakes in a transform, one line each."""

from __future__ import annotations

import random
from typing import Any

import pytest
from river import compose, preprocessing
from river import feature_extraction as fx

from streamml.features import check_transform
from streamml.features.synthetic import synthetic_events
from streamml.topology import Feature, Transform

SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Event",
    "namespace": "test",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "a", "type": "double"},
        {"name": "b", "type": ["null", "double"], "default": None},
        {"name": "n", "type": "int"},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["X", "Y"]}},
        {"name": "old", "type": ["null", "Kind"]},
        {"name": "flag", "type": "boolean"},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "sizes", "type": {"type": "map", "values": "float"}},
        {"name": "place", "type": {"type": "record", "name": "Place", "fields": [{"name": "x", "type": "float"}]}},
        {"name": "mark", "type": {"type": "fixed", "name": "Mark", "size": 4}},
    ],
}

SCALER: Any = preprocessing.StandardScaler
RBF: Any = fx.RBFSampler
SELECT: Any = compose.Select
FUNCTION: Any = compose.FuncTransformer
CALLS: list[int] = []


def good(event: Any) -> dict[str, Any]:
    return {"a": event["a"] + event["n"], "x": event["place"]["x"], "kind": event["kind"]}


def copied(x: dict[str, Any]) -> dict[str, Any]:
    return dict(x)


def rolls_dice(event: Any) -> dict[str, Any]:
    return {"a": random.random()}


def counts(event: Any) -> dict[str, Any]:
    CALLS.append(1)
    return {"a": float(len(CALLS))}


def misspells(event: Any) -> dict[str, Any]:
    return {"a": event["aa"]}


def one_bad_value(event: Any) -> dict[str, Any]:
    return {"a": 1 / (event["n"] - synthetic_events(SCHEMA)[0]["n"])}


def changes_deep_inside(event: Any) -> dict[str, Any]:
    event["tags"].append("more")
    return {"a": event["a"]}


def problems(*features: Any, using: Any = None) -> list[str]:
    found = check_transform(Transform(*features, using=using), SCHEMA)
    assert all(line.startswith("transform: ") and "\n" not in line for line in found)
    return found


@pytest.mark.parametrize(
    ("features", "using"),
    [
        (("a", "b", "n"), None),
        (
            (
                Feature("n", "long"),
                Feature("kind", "string"),
                Feature("flag", "boolean"),
                Feature("old", "string", True),
            ),
            None,
        ),
        (("a", "x", Feature("kind", "string")), good),
        (("a", "b"), SELECT("a", "b")),
        (("a",), SELECT("a") | FUNCTION(copied)),
        (("a",), one_bad_value),
    ],
)
def test_a_good_transform(features: tuple[Any, ...], using: Any) -> None:
    assert problems(*features, using=using) == []


@pytest.mark.parametrize(
    ("features", "using", "said"),
    [
        ((), None, "no features; name those"),
        (("a", "a"), None, "feature a is declared twice"),
        (("a b",), None, "'a b' is no name"),
        (("z",), None, "feature z is not a field of the event (id, time, a,"),
        (("kind",), None, "feature kind is a double, its field is enum; declare Feature('kind', 'string')"),
        ((Feature("a", "long"),), None, "declare Feature('a', 'double')"),
        (("tags",), None, "its field is array; convert it in a function with using="),
        (("a",), SCALER(), "StandardScaler learns, and a transform keeps no state; put it into the model"),
        (("a",), SELECT("a") | SCALER(), "Pipeline.StandardScaler learns"),
        (("a",), SELECT("a") + SCALER(), "TransformerUnion.StandardScaler learns"),
        (("a",), SELECT("a") * SCALER(), "TransformerProduct.StandardScaler learns"),
        (("a",), SCALER, "using is the class StandardScaler; give an instance"),
        (("a",), 5, "using is a int; give a function"),
        (("a",), rolls_dice, "gave other features the second time"),
        (("a",), counts, "gave other features the second time"),
        (("a",), misspells, "the transform raised KeyError: 'aa' (on an event made up from the schema)"),
        (("a", "z"), lambda event: {"a": 1.0}, "feature z is missing"),
        (("a",), lambda event: {"a": 1.0, "y": 1.0}, "returned y, not a declared feature"),
        (("a",), changes_deep_inside, "changes the event that it is given"),
        ((Feature("0"), Feature("1")), SELECT("a") | RBF(n_components=2), "no name for a feature"),
    ],
)
def test_a_transform_is_refused(features: tuple[Any, ...], using: Any, said: str) -> None:
    found = problems(*features, using=using)
    assert found
    assert all(said in line for line in found)


def test_a_transformer_that_draws_numbers_as_it_goes() -> None:
    using = SELECT("a") | RBF(n_components=1) | FUNCTION(first)
    (found,) = problems("a", using=using)
    assert "it keeps state; put the part that does so into the model" in found


def first(x: dict[Any, float]) -> dict[str, float]:
    return {"a": next(iter(x.values()))}


def test_made_up_events_follow_the_schema() -> None:
    events = synthetic_events(SCHEMA)
    assert events == synthetic_events(SCHEMA)
    for event in events:
        assert list(event) == [field["name"] for field in SCHEMA["fields"]]
        assert None not in event.values()
        assert event["kind"] in ("X", "Y")
        assert event["old"] in ("X", "Y")
        assert isinstance(event["time"], int)
        assert isinstance(event["place"]["x"], float)
        assert event["mark"] == bytes(4)


def test_a_schema_that_refers_to_itself() -> None:
    node = {"name": "next", "type": ["null", "Node"]}
    schema = {"type": "record", "name": "Node", "fields": [{"name": "a", "type": "double"}, node]}
    assert check_transform(Transform("a"), schema) == []
    assert check_transform(Transform("a", using=lambda event: {"a": event["a"]}), schema) == []
