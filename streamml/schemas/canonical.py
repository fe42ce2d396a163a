"""One form for each schema. Law: schemas that read and write alike are equal here, and so have one id in every
process.

The form keeps what decides how bytes are written, read or understood: names, types, fields in order, defaults,
aliases, logical types. It is wider than Avro's Parsing Canonical Form, which drops the last three: microseconds are
not milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, TypeAlias

import fastavro
import orjson

from streamml.errors import SchemaError

Avro: TypeAlias = Any
"""A schema in canonical form: the name of a primitive or of a type defined before, a list (a union), or a dict."""

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "string", "bytes"})
_KEPT = ("logicalType", "precision", "scale")
_MAX_DEPTH = 64
_MAX_PARTS = 10_000
"""A few lines of types that refer to each other twice can stand for more parts than there is memory."""


def canonical(schema: Any) -> Avro:
    """`schema` with full names and without docs and other properties that do not matter to a reader or a writer.

    Raises:
        SchemaError: it is no Avro schema; the message says where.
    """
    try:
        parsed = fastavro.parse_schema(schema)
    except Exception as error:  # fastavro answers malformed schemas with whatever its parser ran into
        said = " ".join(str(error).split())[:300]
        raise SchemaError(f"not an Avro schema: {said or type(error).__name__}") from error
    return _canonical(parsed, "", 0)


def _canonical(schema: Any, where: str, depth: int) -> Avro:
    if depth > _MAX_DEPTH:
        raise SchemaError(f"the schema is nested deeper than {_MAX_DEPTH} levels at {where}")
    if isinstance(schema, str):
        return schema
    if isinstance(schema, list):
        branches = [_canonical(branch, where, depth + 1) for branch in schema]
        kinds = [_branch_kind(branch) for branch in branches]
        if "union" in kinds or len(set(kinds)) != len(kinds) or not kinds:
            raise SchemaError(f"the union at {where or 'the top'} must hold different types, none of them a union")
        return branches
    kind = schema["type"]
    if not isinstance(kind, str):
        return _canonical(kind, where, depth + 1)
    out: dict[str, Any] = {"type": kind}
    out.update((key, schema[key]) for key in _KEPT if key in schema)
    if kind in PRIMITIVES:
        return kind if len(out) == 1 else out
    if kind == "array":
        out["items"] = _canonical(schema["items"], f"{where}[]", depth + 1)
    elif kind == "map":
        out["values"] = _canonical(schema["values"], f"{where}{{}}", depth + 1)
    elif kind in ("enum", "fixed", "record", "error"):
        out["name"] = schema["name"]
        space = schema["name"].rpartition(".")[0]
        if schema.get("aliases"):
            out["aliases"] = sorted(a if "." in a or not space else f"{space}.{a}" for a in schema["aliases"])
        out.update((key, schema[key]) for key in ("symbols", "size", "default") if key in schema)
        if kind in ("record", "error"):
            out["type"] = "record"
            out["fields"] = _fields(schema, where, depth)
    else:
        return str(kind)
    return out


def _fields(schema: Mapping[str, Any], where: str, depth: int) -> list[dict[str, Any]]:
    fields: list[dict[str, Any]] = []
    for field in schema["fields"]:
        path = f"{where}.{field['name']}" if where else field["name"]
        if not isinstance(field["name"], str) or not field["name"].isidentifier() or not field["name"].isascii():
            raise SchemaError(f"field {path!r}: a name is made of ASCII letters, digits and underscores")
        if any(field["name"] == other["name"] for other in fields):
            raise SchemaError(f"field {path} is declared twice")
        out = {"name": field["name"], "type": _canonical(field["type"], path, depth + 1)}
        if "default" in field:
            out["default"] = field["default"]
        if field.get("aliases"):
            out["aliases"] = sorted(field["aliases"])
        fields.append(out)
    return fields


def _branch_kind(branch: Avro) -> str:
    if isinstance(branch, list):
        return "union"
    if isinstance(branch, dict):
        return str(branch.get("name", branch["type"]))
    return str(branch)


def names_of(schema: Avro) -> dict[str, Avro]:
    """The named types that a canonical schema defines, by full name."""
    found: dict[str, Avro] = {}
    todo = [schema]
    while todo:
        part = todo.pop()
        if isinstance(part, list):
            todo += part
        elif isinstance(part, dict):
            if "name" in part:
                found[part["name"]] = part
            todo += [part[key] for key in ("items", "values") if key in part]
            todo += [field["type"] for field in part.get("fields", ())]
    return found


def expanded(schema: Any, *, logical: bool = True) -> Avro:
    """The canonical form as a tree: every reference is replaced by its definition; without `logical`, no logical
    types.

    Raises:
        SchemaError: malformed, or a type that contains itself, or an array of items that take no bytes: reading
        either could
            be made to go on for ever.
    """
    form = canonical(schema)
    return _expand(form, names_of(form), (), logical, iter(range(_MAX_PARTS)))


def _expand(
    schema: Avro, names: Mapping[str, Avro], inside: tuple[str, ...], logical: bool, budget: Iterator[int]
) -> Avro:
    if next(budget, None) is None:
        raise SchemaError(f"the schema has more than {_MAX_PARTS} parts once its references are replaced; flatten it")
    if isinstance(schema, str):
        return schema if schema in PRIMITIVES else _expand(names[schema], names, inside, logical, budget)
    if isinstance(schema, list):
        return [_expand(branch, names, inside, logical, budget) for branch in schema]
    out = dict(schema) if logical else {k: v for k, v in schema.items() if k not in _KEPT}
    if "name" in out:
        if out["name"] in inside:
            raise SchemaError(f"type {out['name']} contains itself; such records are not supported, flatten it")
        inside = (*inside, out["name"])
    if "fields" in out:
        out["fields"] = [{**f, "type": _expand(f["type"], names, inside, logical, budget)} for f in out["fields"]]
    for key in ("items", "values"):
        if key in out:
            out[key] = _expand(out[key], names, inside, logical, budget)
    if out["type"] == "array" and _takes_no_bytes(out["items"]):
        raise SchemaError("an array whose items take no bytes is not supported: its length could be anything")
    return out["type"] if out["type"] in PRIMITIVES and len(out) == 1 else out


def _takes_no_bytes(schema: Avro) -> bool:
    if isinstance(schema, dict):
        if schema["type"] == "record":
            return all(_takes_no_bytes(field["type"]) for field in schema["fields"])
        return bool(schema["type"] == "null" or (schema["type"] == "fixed" and schema["size"] == 0))
    return bool(schema == "null")


def kind_of(schema: Avro) -> str:
    """The type's Avro kind: `record`, `long`, `union`, …"""
    if isinstance(schema, list):
        return "union"
    return str(schema["type"]) if isinstance(schema, dict) else str(schema)


def form_of(schema: Any) -> bytes:
    """The canonical form as bytes: equal exactly for schemas that are the same to every reader and writer."""
    return orjson.dumps(canonical(schema), option=orjson.OPT_SORT_KEYS)


def alike(one: Any, other: Any) -> bool:
    """Whether two schemas are the same to every reader and writer; what is no schema is like no other."""
    try:
        return form_of(one) == form_of(other)
    except SchemaError:
        return False


def id_of_form(form: bytes) -> int:
    """A positive 31-bit id from the canonical form: two processes that never met derive the same one."""
    return (int.from_bytes(sha256(form).digest()[:4], "big") & 0x7FFF_FFFF) or 1
