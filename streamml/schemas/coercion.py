"""From parsed JSON to the canonical values of an Avro schema. Law: a value is taken only if it is exactly one of the
schema's type.

- a boolean is no number; an integer stands for a double if the double is exactly it; `1.0` is no integer;
- a `float` is rounded to its 32 bits; `bytes` and `fixed` are text of one character a byte (Latin-1, as in Avro's
  JSON encoding);
- a timestamp is ISO-8601 text (UTC if it has no offset) or an integer in milliseconds, whatever its unit in the
  schema; the value is in milliseconds, rounded down;
- a union takes its first branch that fits; the branch is not named as in Avro's JSON encoding;
- unknown fields are ignored; a missing one takes its default, or is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from struct import Struct, error
from typing import Any

from streamml.errors import DecodeError, SchemaError
from streamml.schemas.canonical import Avro, kind_of
from streamml.schemas.finite import LIMIT, refuse_unfit

Coerce = Callable[[Any, str], Any]
"""(value, path of the field) to the canonical value; raises DecodeError `schema` or `finite`."""

_MISSING: Any = object()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
TO_MILLIS = {"timestamp-millis": 1, "timestamp-micros": 1_000, "timestamp-nanos": 1_000_000}
"""Units of a logical type in a millisecond."""
_BITS = {"int": 31, "long": 63}
_FLOAT = Struct("<f")


def coercer(schema: Avro) -> Coerce:
    """The coercion to `schema`, a tree of `canonical.expanded`."""
    kind = kind_of(schema)
    if kind == "record":
        return _record(schema)
    if kind == "union":
        return _union(schema)
    if kind in ("array", "map"):
        return _array(coercer(schema["items"])) if kind == "array" else _map(coercer(schema["values"]))
    if kind == "enum":
        return _enum(schema["symbols"])
    if kind == "fixed":
        return _fixed(schema["size"])
    if kind == "long" and _logical(schema) in TO_MILLIS:
        return _timestamp
    return _PRIMITIVES[kind]


def default_of(field: Mapping[str, Any]) -> Any:
    """The canonical value of a field's default. Raises SchemaError if the default is not of the field's type."""
    kind = field["type"]
    branches = kind if isinstance(kind, list) else [kind]
    failed: DecodeError | None = None
    for branch in branches:
        try:
            if kind_of(branch) == "long":
                # A default is in the unit of its schema, not in milliseconds as in a JSON record.
                number = _LONG(field["default"], field["name"])
                return number // TO_MILLIS.get(_logical(branch), 1)
            return coercer(branch)(field["default"], field["name"])
        except DecodeError as refused:
            failed = failed or refused
    raise SchemaError(f"the default of field {field['name']} does not fit: {failed or field['default']!r}")


def _logical(schema: Avro) -> str:
    return str(schema.get("logicalType", "")) if isinstance(schema, dict) else ""


def _refused(path: str, value: Any, expected: str) -> DecodeError:
    if value is _MISSING:
        return DecodeError("schema", f"field {path} is missing; expected {expected}", path or None)
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    where = f"field {path}" if path else "the record"
    return DecodeError("schema", f"{where} is {shown} ({type(value).__name__}); expected {expected}", path or None)


def _record(schema: Avro) -> Coerce:
    fields: list[tuple[str, Any, bool, Coerce, Any]] = []
    for field in schema["fields"]:
        kind = field["type"]
        # The one Python type whose values need no further look, for speed.
        exact = {"double": float, "string": str, "boolean": bool}.get(kind) if isinstance(kind, str) else None
        default = default_of(field) if "default" in field else _MISSING
        fields.append((field["name"], exact, exact is float, coercer(kind), default))

    def record(value: Any, path: str) -> dict[str, Any]:
        if type(value) is not dict:
            raise _refused(path, value, "an object")
        get, out = value.get, {}
        for name, exact, is_float, coerce, default in fields:
            item = get(name, _MISSING)
            if type(item) is not exact:
                if item is _MISSING and default is not _MISSING:
                    item = deepcopy(default) if isinstance(default, dict | list) else default
                else:
                    item = coerce(item, f"{path}.{name}" if path else name)
            elif is_float and not -LIMIT <= item <= LIMIT:
                refuse_unfit((f"{path}.{name}" if path else name,), (item,))
            out[name] = item
        return out

    return record


def _union(branches: list[Avro]) -> Coerce:
    nullable = "null" in branches
    others = [(kind_of(branch), coercer(branch)) for branch in branches if branch != "null"]

    def union(value: Any, path: str) -> Any:
        if value is None and nullable:
            return None
        if len(others) == 1:
            return others[0][1](value, path)
        for _, coerce in others:
            try:
                return coerce(value, path)
            except DecodeError as refused:
                if refused.rule == "finite":
                    raise
        raise _refused(path, value, " or ".join([*(["null"] if nullable else []), *(kind for kind, _ in others)]))

    return union


def _array(item: Coerce) -> Coerce:
    def array(value: Any, path: str) -> list[Any]:
        if type(value) is not list:
            raise _refused(path, value, "an array")
        return [item(v, f"{path}[]") for v in value]

    return array


def _map(item: Coerce) -> Coerce:
    def mapping(value: Any, path: str) -> dict[str, Any]:
        if type(value) is not dict:
            raise _refused(path, value, "an object")
        return {k: item(v, f"{path}{{}}") for k, v in value.items()}

    return mapping


def _enum(symbols: list[str]) -> Coerce:
    known = frozenset(symbols)

    def enum(value: Any, path: str) -> str:
        if type(value) is str and value in known:
            return value
        raise _refused(path, value, f"one of {', '.join(symbols)}")

    return enum


def _fixed(size: int) -> Coerce:
    def fixed(value: Any, path: str) -> bytes:
        data = _bytes(value, path)
        if len(data) != size:
            raise _refused(path, value, f"{size} bytes")
        return data

    return fixed


def _bytes(value: Any, path: str) -> bytes:
    try:
        return str(value).encode("latin-1") if type(value) is str else _fail(value, path, "text")
    except UnicodeEncodeError:
        raise _refused(path, value, "text of one character a byte (Latin-1)") from None


def _integer(kind: str) -> Coerce:
    bound = 1 << _BITS[kind]

    def integer(value: Any, path: str) -> int:
        if type(value) is int and -bound <= value < bound:
            return value
        raise _refused(path, value, f"an integer of {_BITS[kind] + 1} bits")

    return integer


def _double(value: Any, path: str) -> float:
    if type(value) is int:
        number = float(value) if -(1 << 64) < value < 1 << 64 else _fail(value, path, "a number")
        if number != value:
            raise _refused(path, value, "a number that a double holds exactly")
    elif type(value) is float:
        number = value
    else:
        raise _refused(path, value, "a number")
    if not -LIMIT <= number <= LIMIT:
        refuse_unfit((path,), (number,))
    return number


def _single(value: Any, path: str) -> float:
    number = _double(value, path)
    try:
        return float(_FLOAT.unpack(_FLOAT.pack(number))[0])
    except (OverflowError, error):
        raise DecodeError("finite", f"field {path} is {number!r}; expected a float of 32 bits", path) from None


def _timestamp(value: Any, path: str) -> int:
    if type(value) is int:
        return int(_LONG(value, path))
    if type(value) is str:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise _refused(path, value, "an ISO-8601 time, or milliseconds since 1970 as an integer") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // _MILLISECOND
    raise _refused(path, value, "an ISO-8601 time, or milliseconds since 1970 as an integer")


def _exact(kind: type, expected: str) -> Coerce:
    def exact(value: Any, path: str) -> Any:
        if type(value) is kind:
            return value
        raise _refused(path, value, expected)

    return exact


def _fail(value: Any, path: str, expected: str) -> Any:
    raise _refused(path, value, expected)


_LONG = _integer("long")
_PRIMITIVES: dict[str, Coerce] = {
    "null": _exact(type(None), "null"),
    "boolean": _exact(bool, "true or false"),
    "int": _integer("int"),
    "long": _LONG,
    "float": _single,
    "double": _double,
    "string": _exact(str, "a string"),
    "bytes": _bytes,
}
