"""From the text of a CSV cell to a value of a JSON type.

Law: what is not plainly of the field's type stays text, for the coercion to refuse."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from streamml.schemas.canonical import Avro, kind_of

Parse = Callable[[str], Any]

ABSENT: Any = object()
"""The cell says nothing: the field's default stands, if it has one."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,40}", re.ASCII)
_NUMBER = re.compile(
    r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE
)
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}


def cell_parsers(schema: Avro) -> dict[str, Parse]:
    """How to read the text of each field of a record, a tree of `canonical.expanded`.

    An empty cell is null where the field may be null, "" where it is a string, and absent otherwise.
    """
    return {field["name"]: _parser(field["type"]) for field in schema["fields"]}


def parse_cells(parsers: Mapping[str, Parse], cells: Mapping[str, str]) -> dict[str, Any]:
    """The fields that the cells have a value for; cells of no field are left out."""
    values = {name: parse(cells[name]) for name, parse in parsers.items() if name in cells}
    return {name: value for name, value in values.items() if value is not ABSENT}


def _parser(schema: Avro) -> Parse:
    if isinstance(schema, list):
        branches = [branch for branch in schema if branch != "null"]
        parsers = [_TEXT.get(kind_of(branch), _same) for branch in branches]
        return _nullable(parsers, "null" in schema)
    parse = _TEXT.get(kind_of(schema), _same)
    return parse if kind_of(schema) in ("string", "bytes") else _or(ABSENT, parse)


def _nullable(parsers: list[Parse], nullable: bool) -> Parse:
    def parse(text: str) -> Any:
        if not text.strip():
            return None if nullable else text
        # The first branch that makes something of the text; the coercion looks at the result again.
        return next((value for parser in parsers if (value := parser(text)) is not text), text)

    return parse


def _or(empty: Any, parse: Parse) -> Parse:
    return lambda text: parse(text) if text.strip() else empty


def _same(text: str) -> Any:
    return text


def _integer(text: str) -> Any:
    return int(text) if _INTEGER.fullmatch(text.strip()) else text


def _number(text: str) -> Any:
    return float(text) if _NUMBER.fullmatch(text.strip()) else text


def _boolean(text: str) -> Any:
    return _BOOLEANS.get(text.strip().lower(), text)


_TEXT: dict[str, Parse] = {
    "int": _integer,
    "long": _integer,
    "float": _number,
    "double": _number,
    "boolean": _boolean,
}
