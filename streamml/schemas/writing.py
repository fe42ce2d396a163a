"""Encoders made for one schema. Law: the bytes are those of fastavro; a value that does not fit its schema raises, it
is never bent.

An encoder is one generated Python expression: neighbouring doubles go through one `struct` call, the parts through
one join. That is a third of fastavro's time, which looks the schema up anew for each value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from struct import Struct
from struct import error as StructError
from typing import Any, TypeAlias

from streamml.schemas import columns, layouts
from streamml.schemas.canonical import Avro, kind_of
from streamml.schemas.coercion import default_of
from streamml.schemas.varint import encode_bytes, encode_int, encode_long, encode_string

Encode = Callable[[Any], bytes]
_Part: TypeAlias = str | tuple[str, str]
"""An expression of bytes, or (struct code, expression) for a value of fixed width."""

_FIXED = {"double": "d", "float": "f", "boolean": "?"}
_CALLS: dict[str, Encode] = {
    "int": encode_int,
    "long": encode_long,
    "string": encode_string,
    "bytes": encode_bytes,
}
_MISFITS = (KeyError, TypeError, AttributeError, ValueError, OverflowError, StructError)
_PYTHON: dict[str, type | tuple[type, ...]] = {
    "boolean": bool,
    "int": int,
    "long": int,
    "float": (float, int),
    "double": (float, int),
    "string": str,
    "enum": str,
    "bytes": bytes,
    "fixed": bytes,
    "array": (list, tuple),
    "map": Mapping,
    "record": Mapping,
}


def encoder(
    schema: Avro, header: bytes, misfit: Callable[[Any, Exception], Exception], given: Sequence[str] = ()
) -> Callable[..., bytes]:
    """The encoder of `schema`, a tree of `canonical.expanded`; `header` goes before each body.

    A value that does not fit raises what `misfit` makes of it and of the error that Python answers with. The
    neighbouring
    fields `given` of a record are not taken from the value: their bytes are the encoder's second argument.
    """
    expression = _Expression(given)
    body = expression.of(schema, header)
    source = [
        f"def encode(value{', given' if given else ''}):",
        f"    try: return {body}",
        "    except misfits as error: raise misfit(value, error) from error",
    ]
    scope = {**expression.scope, "misfits": _MISFITS, "misfit": misfit}
    exec("\n".join(source), scope)
    encode: Encode = scope["encode"]
    return encode


class _Expression:
    def __init__(self, given: Sequence[str] = ()) -> None:
        self.scope: dict[str, Any] = {**_CALLS, "join": b"".join}
        self._names = 0
        self._given = tuple(given)

    def of(self, schema: Avro, header: bytes = b"") -> str:
        """The Python expression of the bytes of `value`."""
        parts = self._merged(self._parts(schema, "value"))
        if header:
            parts = [repr(header), *parts]
        return parts[0] if len(parts) == 1 else f"join(({', '.join(parts)}))" if parts else "b''"

    def function(self, schema: Avro) -> Encode:
        made: Encode = eval(f"lambda value: {self.of(schema)}", self.scope)
        return made

    def _parts(self, schema: Avro, value: str) -> list[_Part]:
        kind = kind_of(schema)
        if kind == "null":
            return []
        if kind in _FIXED:
            return [(_FIXED[kind], value)]
        if kind in _CALLS:
            return [f"{kind}({value})"]
        if kind == "record":
            return self._record(schema, value)
        if kind == "union":
            return [self._union(schema, value)]
        if kind == "enum":
            symbols = {symbol: encode_long(i) for i, symbol in enumerate(schema["symbols"])}
            return [f"{self._constant(symbols)}[{value}]"]
        if kind == "fixed":
            return [f"{self._constant(_fixed_writer(schema['size']))}({value})"]
        inner = schema["items"] if kind == "array" else schema["values"]
        if kind == "map" and inner == "double":
            write = layouts.writer(_map_writer(_Expression().function(inner)))
            return [f"{self._constant(write)}({value})"]
        item = _Expression().function(inner)
        if kind == "map":
            return [f"{self._constant(_map_writer(item))}({value})"]
        pack = columns.pack if inner == columns.ITEM else lambda items: None
        return [f"{self._constant(_array_writer(item, pack))}({value})"]

    def _record(self, schema: Avro, value: str) -> list[_Part]:
        if len(schema["fields"]) > 1 and not value.isidentifier():
            self._names += 1
            name, bound = f"r{self._names}", value
        else:
            name, bound = value, ""
        parts: list[_Part] = []
        given, self._given = self._given, ()
        for field in schema["fields"]:
            if field["name"] in given:
                parts += ["given"] if field["name"] == given[0] else []
                continue
            at = f"({name} := {bound})" if bound else name
            bound = ""
            if "default" in field:
                item = f"{at}.get({field['name']!r}, {self._constant(default_of(field))})"
            else:
                item = f"{at}[{field['name']!r}]"
            parts += self._parts(field["type"], item)
        return parts

    def _union(self, branches: list[Avro], value: str) -> str:
        """A call of a function of its own: the value is looked at once to choose the branch."""
        chain = f"{self._constant(_no_branch)}(value)"
        for index, branch in reversed(list(enumerate(branches))):
            head = encode_long(index)
            kind = kind_of(branch)
            if kind == "null":
                chain = f"{head!r} if value is None else {chain}"
                continue
            written = " + ".join([repr(head), *self._merged(self._parts(branch, "value"))])
            if len(branches) == 2 and "null" in branches and index == 1:
                chain = written
                continue
            guard = "" if kind == "boolean" else " and not isinstance(value, bool)"
            chain = f"{written} if isinstance(value, {self._constant(_PYTHON[kind])}){guard} else {chain}"
        return f"{self._constant(eval(f'lambda value: {chain}', self.scope))}({value})"

    def _merged(self, parts: list[_Part]) -> list[str]:
        """Neighbouring parts of fixed width become one `struct` call."""
        out: list[str] = []
        for packed, run in groupby(parts, key=lambda part: isinstance(part, tuple)):
            if not packed:
                out += [part for part in run if isinstance(part, str)]
                continue
            fixed = [part for part in run if isinstance(part, tuple)]
            pack = self._constant(Struct("<" + "".join(code for code, _ in fixed)).pack)
            out.append(f"{pack}({', '.join(value for _, value in fixed)})")
        return out

    def _constant(self, value: Any) -> str:
        name = f"c{len(self.scope)}"
        self.scope[name] = value
        return name


def _array_writer(item: Encode, pack: Callable[[Sequence[Any]], bytes | None]) -> Encode:
    def write(items: Sequence[Any]) -> bytes:
        if not items:
            return b"\0"
        packed = pack(items) or b"".join([item(value) for value in items])
        return encode_long(len(items)) + packed + b"\0"

    return write


def _map_writer(item: Encode) -> Encode:
    def write(items: Mapping[str, Any]) -> bytes:
        if not items:
            return b"\0"
        pairs = [encode_string(key) + item(value) for key, value in items.items()]
        return encode_long(len(pairs)) + b"".join(pairs) + b"\0"

    return write


def _fixed_writer(size: int) -> Encode:
    def write(data: bytes) -> bytes:
        if len(data) != size:
            raise TypeError(f"{len(data)} bytes for a fixed of {size}")
        return data

    return write


def _no_branch(value: Any) -> bytes:
    raise TypeError(f"{value!r} is of no branch of the union")
