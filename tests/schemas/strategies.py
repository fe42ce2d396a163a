"""Schemas and values made up by hypothesis, within what both fastavro and ours call one meaning."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Avro = Any

LONGS = st.integers(-(2**63), 2**63 - 1)
INTS = st.integers(-(2**31), 2**31 - 1)
DOUBLES = st.floats(-1e150, 1e150)
FLOATS = st.floats(-(2.0**99), 2.0**99, width=32)
TEXT = st.text(max_size=20)

_PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": INTS,
    "long": LONGS,
    "float": FLOATS,
    "double": DOUBLES,
    "string": TEXT,
    "bytes": st.binary(max_size=20),
}


@st.composite
def schemas(draw: st.DrawFn, depth: int = 3) -> Avro:
    """Any schema but a recursive one; names are numbered so that none is defined twice."""
    return draw(_schemas(depth, iter(range(1000))))


@st.composite
def _schemas(draw: st.DrawFn, depth: int, numbers: Any) -> Avro:
    kinds = ["primitive"] * 3 + ["enum", "fixed"] + (["record", "array", "map", "union"] if depth else [])
    kind = draw(st.sampled_from(kinds))
    if kind == "primitive":
        return draw(st.sampled_from([p for p in _PRIMITIVES if p != "null"]))
    if kind == "enum":
        return {"type": "enum", "name": f"E{next(numbers)}", "symbols": ["A", "B", "C"]}
    if kind == "fixed":
        return {"type": "fixed", "name": f"F{next(numbers)}", "size": draw(st.integers(1, 4))}
    if kind == "array":
        return {"type": "array", "items": draw(_schemas(depth - 1, numbers))}
    if kind == "map":
        return {"type": "map", "values": draw(_schemas(depth - 1, numbers))}
    if kind == "union":
        inner = draw(_schemas(depth - 1, numbers).filter(lambda s: not isinstance(s, list)))
        return draw(st.permutations(["null", inner]))
    return draw(records(depth - 1, numbers))


@st.composite
def records(draw: st.DrawFn, depth: int = 2, numbers: Any = None) -> Avro:
    """A record of one to six fields."""
    numbers = iter(range(1000)) if numbers is None else numbers
    name = f"R{next(numbers)}"
    count = draw(st.integers(1, 6))
    fields = [{"name": f"f{i}", "type": draw(_schemas(depth, numbers))} for i in range(count)]
    return {"type": "record", "name": name, "fields": fields}


def values(schema: Avro) -> st.SearchStrategy[Any]:
    """The values of a schema."""
    if isinstance(schema, list):
        return st.one_of([values(branch) for branch in schema])
    if isinstance(schema, str):
        return _PRIMITIVES[schema]
    kind = schema["type"]
    if kind == "record":
        return st.fixed_dictionaries({f["name"]: values(f["type"]) for f in schema["fields"]})
    if kind == "array":
        return st.lists(values(schema["items"]), max_size=3)
    if kind == "map":
        return st.dictionaries(TEXT, values(schema["values"]), max_size=3)
    if kind == "enum":
        return st.sampled_from(schema["symbols"])
    if kind == "fixed":
        return st.binary(min_size=schema["size"], max_size=schema["size"])
    return values(kind)
