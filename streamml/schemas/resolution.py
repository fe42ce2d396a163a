"""Reading with one schema what another one wrote. Law: the value is the one that Avro's schema resolution gives.

The writer's tree is turned into the tree of what to do: its own fields in its own order (bytes come in that order),
each read as the reader's type, skipped, or renamed; then the reader's defaults and the reader's order. A branch of a
union that the reader does not know refuses only the records that use it.
Source: Apache Avro specification, "Schema Resolution".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streamml.errors import DecodeError, SchemaError
from streamml.schemas.canonical import Avro, expanded, kind_of
from streamml.schemas.coercion import default_of
from streamml.schemas.compatibility import source_of, tree_problems
from streamml.schemas.reading import Decode, decoder
from streamml.schemas.wire import header_of, schema_id_of

_CONVERSIONS = {
    ("int", "float"): "float({})",
    ("int", "double"): "float({})",
    ("long", "float"): "float({})",
    ("long", "double"): "float({})",
    ("string", "bytes"): "{}.encode()",
    ("bytes", "string"): "{}.decode()",
}


def resolved(writer: Avro, reader: Avro, path: str = "") -> Avro:
    """The tree for `Program.read` that reads `writer`'s bytes as `reader`; both are trees of `canonical.expanded`.

    Raises:
        SchemaError: no record of the writer can be read so; says which field is why.
    """
    if isinstance(writer, list):
        return [_branch(branch, reader, path) for branch in writer]
    if isinstance(reader, list):
        reader = _chosen(writer, reader, path)
    kind, wanted = kind_of(writer), kind_of(reader)
    if kind == wanted == "record":
        return _record(writer, reader, path)
    if kind == wanted == "array":
        return {**writer, "items": resolved(writer["items"], reader["items"], f"{path}[]")}
    if kind == wanted == "map":
        return {**writer, "values": resolved(writer["values"], reader["values"], f"{path}{{}}")}
    if found := tree_problems(reader, writer, path):
        raise SchemaError(found[0])
    if kind == "enum":
        known, default = set(reader["symbols"]), reader.get("default")
        return {**writer, "symbols": [symbol if symbol in known else default for symbol in writer["symbols"]]}
    if (kind, wanted) in _CONVERSIONS:
        return {"type": "resolved", "written": writer, "convert": _CONVERSIONS[kind, wanted]}
    return writer


def _branch(writer: Avro, reader: Avro, path: str) -> Avro:
    try:
        return resolved(writer, reader, path)
    except SchemaError as error:
        return {"type": "unreadable", "why": str(error)}


def _chosen(writer: Avro, branches: list[Avro], path: str) -> Avro:
    """The reader's branch of the writer's own type, or else the first one that can read it."""
    fit = [branch for branch in branches if not tree_problems(branch, writer, path)]
    if not fit:
        raise SchemaError(next(iter(tree_problems(branches, writer, path))))
    return next((branch for branch in fit if kind_of(branch) == kind_of(writer)), fit[0])


def _record(writer: Avro, reader: Avro, path: str) -> Avro:
    if found := tree_problems({**reader, "fields": []}, writer, path):
        raise SchemaError(found[0])
    written = {field["name"]: field for field in writer["fields"]}
    wanted: dict[str, Avro] = {}
    defaults: dict[str, Any] = {}
    for field in reader["fields"]:
        source = source_of(field, written)
        if source is not None and source["name"] not in wanted:
            wanted[source["name"]] = field
        elif "default" in field:
            defaults[field["name"]] = default_of(field)
        else:
            name = f"{path}.{field['name']}" if path else field["name"]
            raise SchemaError(f"field {name} is not in the writer's schema and has no default")
    fields = []
    for field in writer["fields"]:
        if field["name"] not in wanted:
            fields.append({"name": field["name"], "type": field["type"], "skipped": True})
            continue
        target = wanted[field["name"]]
        at = f"{path}.{target['name']}" if path else target["name"]
        fields.append({"name": target["name"], "type": resolved(field["type"], target["type"], at)})
    order = [field["name"] for field in reader["fields"]]
    return {"type": "record", "name": reader["name"], "fields": fields, "defaults": defaults, "order": order}


class Versions:
    """Decoders to one reader's tree, by the schema id that a value names; `find` gives the writer's schema of an
    id."""

    def __init__(self, reader: Avro, find: Callable[[int], Any], *, logical: bool, finite: bool) -> None:
        self._reader = reader
        self._find = find
        self._logical = logical
        self._finite = finite
        self._decoders: dict[bytes, Decode] = {}

    def decode(self, data: bytes | None) -> Any:
        """Read a value of any known version. Raises DecodeError."""
        schema_id = schema_id_of(data)
        header = header_of(schema_id)
        known = self._decoders.get(header)
        if known is None:
            writer = self._find(schema_id)
            known = self._decoders[header] = self._made(writer, schema_id)
        return known(data)

    def _made(self, writer: Any, schema_id: int) -> Decode:
        try:
            tree = resolved(expanded(writer, logical=self._logical), self._reader)
            return decoder(tree, header_of(schema_id), self.decode, finite=self._finite)
        except SchemaError as error:
            # An id stands for one schema for ever, so the answer can be kept.
            why = f"records of schema id {schema_id} cannot be read: {error}"

            def refuse(data: bytes | None) -> Any:
                raise DecodeError("schema", why)

            return refuse
