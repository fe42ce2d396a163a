"""What a schema says about its fields, for those who check declarations. Law: names and kinds only, no Avro to be
parsed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from streamml.schemas.canonical import expanded, kind_of


class Kinds(NamedTuple):
    """The Avro kinds that a field may be of, null aside; `symbols` if one of them is an enum."""

    types: tuple[str, ...]
    nullable: bool
    symbols: tuple[str, ...] | None


def field_kinds(schema: Mapping[str, Any]) -> dict[str, Kinds]:
    """The fields of a record in order. Raises SchemaError."""
    found: dict[str, Kinds] = {}
    for field in expanded(schema)["fields"]:
        branches = field["type"] if isinstance(field["type"], list) else [field["type"]]
        kinds = tuple(kind_of(branch) for branch in branches)
        symbols = next((tuple(b["symbols"]) for b in branches if kind_of(b) == "enum"), None)
        found[field["name"]] = Kinds(tuple(kind for kind in kinds if kind != "null"), "null" in kinds, symbols)
    return found
