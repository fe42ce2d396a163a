"""Can records written with one schema be read with another? Law: the answer is that of Avro's schema resolution,
field by field.

Source: Apache Avro specification, "Schema Resolution". One rule is added: a timestamp whose unit changes
(milliseconds to microseconds) is refused, since Avro would read the number as it stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from streamml.schemas.canonical import PRIMITIVES, Avro, canonical, kind_of, names_of

_PROMOTIONS = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}
_UNITS = {"timestamp-micros": "microseconds", "timestamp-nanos": "nanoseconds"}


def problems(reader: Any, writer: Any) -> list[str]:
    """What keeps `reader` from reading the records of `writer`, one line each that begins with the field; none if it
    can.

    Raises:
        SchemaError: one of them is no schema.
    """
    reads, writes = canonical(reader), canonical(writer)
    return list(_Resolution(names_of(reads), names_of(writes)).compare(reads, writes, ""))


def tree_problems(reader: Avro, writer: Avro, path: str = "") -> list[str]:
    """The same for parts of expanded trees; `path` is where they stand."""
    return list(_Resolution({}, {}).compare(reader, writer, path))


def source_of(field: Mapping[str, Any], written: Mapping[str, Any]) -> Any:
    """Which of the writer's fields (by name) the reader's `field` is read from: its namesake, or that of an alias;
    None if none."""
    return next((written[n] for n in (field["name"], *field.get("aliases", ())) if n in written), None)


class _Resolution:
    """One comparison; pairs of named types already under way are taken as good, so recursive types come to an end."""

    def __init__(self, reads: Mapping[str, Avro], writes: Mapping[str, Avro]) -> None:
        self._reads = reads
        self._writes = writes
        self._begun: set[tuple[str, str]] = set()

    def compare(self, r: Avro, w: Avro, at: str) -> Iterator[str]:
        r, w = self._defined(r, self._reads), self._defined(w, self._writes)
        here = f"field {at}" if at else "the record"
        if isinstance(w, list) or isinstance(r, list):
            for branch in w if isinstance(w, list) else [w]:
                yield from self._branch(r, self._defined(branch, self._writes), at, here)
            return
        kind, written = kind_of(r), kind_of(w)
        if kind != written and kind not in _PROMOTIONS.get(written, ()):
            yield f"{here} was {_name(w)} and is now {_name(r)}"
        elif kind in PRIMITIVES:
            if kind == "long" and _unit(w) != _unit(r):
                yield f"{here} was in {_unit(w)} and is now in {_unit(r)}"
        elif kind == "array":
            yield from self.compare(r["items"], w["items"], f"{at}[]")
        elif kind == "map":
            yield from self.compare(r["values"], w["values"], f"{at}{{}}")
        else:
            yield from self._named(r, w, at, here)

    def _named(self, r: Avro, w: Avro, at: str, here: str) -> Iterator[str]:
        if _short(r) != _short(w) and w["name"] not in r.get("aliases", ()):
            yield f"{here} was of type {w['name']} and is now of type {r['name']}"
        elif (r["name"], w["name"]) in self._begun:
            return
        elif r["type"] == "fixed":
            if r["size"] != w["size"]:
                yield f"{here} was {w['size']} bytes wide and is now {r['size']}"
        elif r["type"] == "enum":
            gone = [symbol for symbol in w["symbols"] if symbol not in r["symbols"]]
            if gone and "default" not in r:
                yield f"{here} lost the symbol {gone[0]}, and the enum has no default"
        else:
            self._begun.add((r["name"], w["name"]))
            yield from self._fields(r, w, at)

    def _fields(self, r: Avro, w: Avro, at: str) -> Iterator[str]:
        written = {field["name"]: field for field in w["fields"]}
        for field in r["fields"]:
            path = f"{at}.{field['name']}" if at else field["name"]
            source = source_of(field, written)
            if source is not None:
                yield from self.compare(field["type"], source["type"], path)
            elif "default" not in field:
                yield f"field {path} is new and has no default"

    def _branch(self, r: Avro, w: Avro, at: str, here: str) -> Iterator[str]:
        """Some branch of the reader must read the writer's branch `w`."""
        branches = [self._defined(branch, self._reads) for branch in (r if isinstance(r, list) else [r])]
        found = [list(self._fork().compare(branch, w, at)) for branch in branches]
        if all(found):
            alike = [why for branch, why in zip(branches, found, strict=True) if kind_of(branch) == kind_of(w)]
            if len(alike) == 1:
                yield from alike[0]
            else:
                yield f"{here} could be {_name(w)} and is now {_name(r)}"

    def _fork(self) -> _Resolution:
        """A trial of one branch must not leave behind pairs that it merely began."""
        trial = _Resolution(self._reads, self._writes)
        trial._begun = set(self._begun)
        return trial

    @staticmethod
    def _defined(schema: Avro, names: Mapping[str, Avro]) -> Avro:
        return names[schema] if isinstance(schema, str) and schema not in PRIMITIVES else schema


def _unit(schema: Avro) -> str:
    logical = schema.get("logicalType", "") if isinstance(schema, dict) else ""
    return _UNITS.get(logical, "milliseconds")


def _name(schema: Avro) -> str:
    if isinstance(schema, list):
        return " or ".join(_name(branch) for branch in schema)
    if isinstance(schema, dict) and "name" in schema:
        return f"{schema['type']} {schema['name']}"
    return kind_of(schema)


def _short(schema: Avro) -> str:
    return str(schema["name"]).rpartition(".")[2]
