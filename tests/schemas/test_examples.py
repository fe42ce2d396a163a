"""Examples: spliced without decoding, read in part; a full decode is the oracle."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from schemas.strategies import DOUBLES, LONGS, TEXT

from streamml.errors import DecodeError
from streamml.schemas import Codec, ExampleReader, Registry, splice, system_schemas

Value = tuple[str, str, bool]
TYPES = {"double": DOUBLES, "long": LONGS, "string": TEXT, "boolean": st.booleans()}
LABELS: dict[str, st.SearchStrategy[Any]] = {
    "string": st.sampled_from(["UP", "DOWN", ""]),
    "long": LONGS,
    "boolean": st.booleans(),
    "double": DOUBLES,
}


@st.composite
def features(draw: st.DrawFn, tail: bool) -> list[Value]:
    count = draw(st.integers(1, 5))
    if tail:
        return [(f"x{i}", "double", False) for i in range(count)]
    return [(f"x{i}", draw(st.sampled_from(list(TYPES))), draw(st.booleans())) for i in range(count)]


@st.composite
def examples(draw: st.DrawFn) -> tuple[list[Value], str, dict[str, Any]]:
    values = draw(features(draw(st.booleans())))
    kind = draw(st.sampled_from(list(LABELS)))
    label = LABELS[kind]
    time = st.integers(0, 1 << 42)
    id = draw(TEXT)
    output: st.SearchStrategy[Any]
    if kind == "double":
        output = st.fixed_dictionaries({"value": st.none() | DOUBLES})
    else:
        output = st.fixed_dictionaries(
            {"label": st.none() | label, "probabilities": st.dictionaries(TEXT, DOUBLES, max_size=3)}
        )
    shadow = {"model": TEXT, "digest": TEXT, "position": LONGS, "output": output}
    prediction = {
        "output": output,
        "shadows": st.lists(st.fixed_dictionaries(shadow), max_size=3),
        "model": TEXT,
        "digest": TEXT,
        "position": LONGS,
        "staleness": LONGS,
        "served_at": time,
        "event_time": time,
        "id": st.just(id),
    }
    seen = {
        "id": st.just(id),
        "event_time": time,
        "transform": TEXT,
        "values": st.fixed_dictionaries({n: st.none() | TYPES[t] if o else TYPES[t] for n, t, o in values}),
    }
    return (
        values,
        kind,
        {
            "label": draw(st.fixed_dictionaries({"value": label, "time": time, "id": st.just(id)})),
            "prediction": draw(st.fixed_dictionaries(prediction)),
            "features": draw(st.fixed_dictionaries(seen)),
        },
    )


@given(examples())
def test_parts_of_an_example_are_those_of_the_whole(case: tuple[list[Value], str, dict[str, Any]]) -> None:
    values, kind, example = case
    schemas = system_schemas(values, kind, kind != "double")
    codec = Codec(schemas["examples"], 4)
    parts = [Codec(schemas[role], 9).encode(example[key]) for role, key in PARTS]
    data = splice(codec.header, *parts)
    assert data == codec.encode(example)
    assert codec.decode(data) == example
    reader = ExampleReader(schemas["examples"], 4, values)
    label, seen = reader.learnable(data)
    present = {n: v for n, v in sorted(example["features"]["values"].items()) if v is not None}
    assert (label, seen) == (example["label"]["value"], present)
    assert list(seen) == sorted(seen)
    prediction = example["prediction"]
    assert reader.served(data) == (example["label"]["value"], prediction)
    scored = (example["label"]["value"], prediction["output"], prediction["position"], prediction["shadows"])
    assert reader.scored(data) == scored


PARTS = (("labels", "label"), ("predictions", "prediction"), ("features", "features"))
PREDICTION = {
    "output": {"label": "UP", "probabilities": {"UP": 1.0}},
    "shadows": [{"model": "s", "digest": "d", "position": 1, "output": {"label": None, "probabilities": {}}}],
    "model": "m",
    "digest": "d",
    "position": 0,
    "staleness": 0,
    "served_at": 1,
    "event_time": 1,
    "id": "e",
}
LABEL = {"value": "UP", "time": 2, "id": "e"}


def seen(**values: Any) -> dict[str, Any]:
    return {"id": "e", "event_time": 1, "transform": "t", "values": values}


def test_examples_of_an_earlier_version_are_read_through_the_registry() -> None:
    old_values, new_values = [("x", "double", False)], [("x", "double", False), ("y", "double", True)]
    old = system_schemas(old_values, "string", True)["examples"]
    new = system_schemas(new_values, "string", True)["examples"]
    registry = Registry()
    first, second = registry.register("a-value", old), registry.register("a-value", new)
    example = {"label": LABEL, "prediction": PREDICTION, "features": seen(x=1.5)}
    data = Codec(old, first).encode(example)
    reader = ExampleReader(new, second, new_values, registry)
    assert reader.learnable(data) == ("UP", {"x": 1.5})
    assert reader.served(data) == ("UP", PREDICTION)
    assert reader.scored(data) == ("UP", PREDICTION["output"], 0, PREDICTION["shadows"])
    with pytest.raises(DecodeError, match=f"schema id {first}; expected {second}"):
        ExampleReader(new, second, new_values).learnable(data)
    # And one that declares fewer features learns all that the model of this log has learned.
    example = {**example, "features": seen(x=1.5, y=2.5)}
    assert ExampleReader(old, first, old_values, registry).learnable(Codec(new, second).encode(example)) == (
        "UP",
        {"x": 1.5, "y": 2.5},
    )


def without_shadows(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of examples as it was before there were any."""
    old = deepcopy(schema)
    prediction = next(field["type"] for field in old["fields"] if field["name"] == "prediction")
    prediction["fields"] = [field for field in prediction["fields"] if field["name"] != "shadows"]
    return old


@pytest.mark.parametrize("values", [[("x", "double", False)], [("x", "double", False), ("y", "long", True)]])
def test_examples_from_before_there_were_shadows_have_none(values: list[Value]) -> None:
    new = system_schemas(values, "string", True)["examples"]
    old = without_shadows(new)
    registry = Registry()
    first, second = registry.register("a-value", old), registry.register("a-value", new)
    said = {name: value for name, value in PREDICTION.items() if name != "shadows"}
    absent = {name: None for name, _, optional in values if optional}
    data = Codec(old, first).encode({"label": LABEL, "prediction": said, "features": seen(x=1.5, **absent)})
    reader = ExampleReader(new, second, values, registry)
    assert reader.learnable(data) == ("UP", {"x": 1.5})
    assert reader.served(data) == ("UP", {**said, "shadows": []})
    assert reader.scored(data) == ("UP", PREDICTION["output"], 0, [])
    assert Codec(new, second, registry).decode(data)["prediction"] == {**said, "shadows": []}


@pytest.mark.parametrize("data", [None, b"", b"\0\0\0\0\5x", b"\1\0\0\0\4", b"\0\0\0\0\4", b"\0\0\0\0\4\4UP"])
def test_other_bytes_are_a_decode_error(data: bytes | None) -> None:
    values = [("x", "double", False)]
    reader = ExampleReader(system_schemas(values, "string", True)["examples"], 4, values)
    for read in (reader.learnable, reader.served, reader.scored):
        with pytest.raises(DecodeError):
            read(data)
