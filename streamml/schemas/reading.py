"""Decoders made for one schema. Law: what they return is what fastavro returns, or a DecodeError: no other exception,
no other value.

A decoder is a generated Python function that walks the body once, reads neighbouring doubles with one `struct` call
and builds the dicts as literals: half the time of fastavro's interpreter of schemas. It also refuses what fastavro
accepts: bytes after the record, a negative branch or symbol, an `int` of more than 32 bits. Memory is bounded by the
size of the data: every item of a block costs at least a byte (see `canonical.expanded`), and a length beyond the end
only ends the reading.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from copy import deepcopy
from math import hypot
from struct import Struct
from struct import error as StructError
from typing import Any

from streamml.errors import DecodeError, SchemaError
from streamml.schemas import columns, layouts
from streamml.schemas.canonical import Avro, kind_of
from streamml.schemas.coercion import TO_MILLIS
from streamml.schemas.finite import LIMIT, refuse_unfit
from streamml.schemas.varint import decode_varint
from streamml.schemas.wire import HEADER_SIZE

Decode = Callable[[bytes | None], Any]

_FIXED = {"double": ("d", 8), "float": ("f", 4), "boolean": ("?", 1)}
_MAX_BRANCHES = 63
_FAILURES = (IndexError, StructError, OverflowError, UnicodeDecodeError)


class Program:
    """Reads fields one after another; each `read` returns a Python expression of the value, for use in the result."""

    def __init__(self, *, finite: bool = False) -> None:
        self._finite = finite
        self._lines: list[str] = []
        self._indent = 2
        self._names = 0
        self._pending: list[tuple[str, str, int]] = []
        self._numbers: list[tuple[str, str]] = []
        self._scope: dict[str, Any] = {}

    def read(self, schema: Avro, path: str = "") -> str:
        """Read one value of `schema`: a tree of `canonical.expanded`, or of `resolution.resolved` to read what
        another schema wrote."""
        kind = kind_of(schema)
        if kind == "resolved":
            return self._converted(self.read(schema["written"], path), schema["convert"])
        if kind in _FIXED:
            return self._fixed(kind, path)
        if kind == "null":
            return "None"
        if kind == "record":
            return self._record(schema, path)
        self._flush()
        name = self._name()
        if kind in ("int", "long"):
            self._long(name, schema, kind)
        elif kind in ("string", "bytes"):
            size = self._varint()
            self._refuse(f"{size} & 1", "a negative length")
            self._emit(
                f"q = p + ({size} >> 1)", f"{name} = data[p:q]{'.decode()' if kind == 'string' else ''}", "p = q"
            )
        elif kind == "fixed":
            self._emit(f"q = p + {schema['size']}", "if q > size: raise IndexError", f"{name} = data[p:q]", "p = q")
        elif kind == "enum":
            index = self._varint()
            self._refuse(f"{index} & 1 or {index} >= {2 * len(schema['symbols'])}", "no symbol of the enum")
            self._emit(f"{name} = {self._constant(tuple(schema['symbols']))}[{index} >> 1]")
            if None in schema["symbols"]:
                self._refuse(f"{name} is None", f"a symbol that is unknown to the reader in {path}")
        elif kind == "unreadable":
            self._emit(f"raise DecodeError('schema', {schema['why']!r}, {path!r})")
            return "None"
        elif kind == "union":
            self._union(name, schema, path)
        else:
            self._blocks(name, schema, kind, path)
        return name

    def skip(self, schema: Avro) -> None:
        """Pass over one value; the text and the times of our own records cost less than to be read."""
        kind = kind_of(schema)
        if kind not in ("string", "bytes", "long"):
            self.read(schema)
            return
        self._flush()
        if kind == "long":
            self._emit("while data[p] > 127: p += 1", "p += 1")
        else:
            self._emit(f"p += {self._varint()} >> 1")

    def fields(self, schema: Avro, path: str = "", only: Collection[str] | None = None) -> dict[str, str]:
        """Read a record; the expression of each of its fields by name. Fields but `only` are passed over."""
        values: dict[str, str] = {}
        for field in schema["fields"]:
            if only is not None and field["name"] not in only:
                self.skip(field["type"])
                continue
            if field.get("skipped"):
                finite, self._finite = self._finite, False
                self.read(field["type"])
                self._finite = finite
                continue
            values[field["name"]] = self.read(field["type"], f"{path}.{field['name']}" if path else field["name"])
        return values

    def jump(self, expression: str) -> None:
        """Go on at a later byte; in the expression, `size` is that of all the data."""
        self._flush()
        self._emit(f"q = {expression}", "if q < p: raise IndexError", "p = q")

    def build(self, header: bytes, result: str, refuse: Decode, *, whole: bool = True) -> Decode:
        """The decoder that returns `result`. Data without `header` is handed to `refuse`; not `whole`: the end is not
        looked at.

        Raises:
            SchemaError: Python cannot nest its blocks as deep as the schema nests arrays, maps and unions.
        """
        self._flush()
        if self._numbers:
            names = ", ".join(name for name, _ in self._numbers)
            paths = self._constant(tuple(path for _, path in self._numbers))
            # One call for all of them: the length of the vector is a finite number within bounds only if each of its
            # parts is.
            self._emit(f"if not hypot({names}) <= {LIMIT!r}: refuse_unfit({paths}, ({names},))")
        compare = "!=" if whole else ">"
        source = "\n".join(
            [
                "def decode(data):",
                f"    if not data or data[:{HEADER_SIZE}] != header: return refuse(data)",
                f"    p = {HEADER_SIZE}",
                "    size = len(data)",
                "    try:",
                "        pass",
                *self._lines,
                "    except failures as error:",
                "        raise unreadable(data, error) from None",
                f"    if p {compare} size: raise misfit(p, size)",
                f"    return {result}",
            ]
        )
        scope: dict[str, Any] = {
            **self._scope,
            "header": header,
            "refuse": refuse,
            "varint": decode_varint,
            "hypot": hypot,
            "columns": columns.unpack,
            "copy": deepcopy,
            "refuse_unfit": refuse_unfit,
            "failures": _FAILURES,
            "unreadable": _unreadable,
            "misfit": _misfit,
            "DecodeError": DecodeError,
        }
        try:
            exec(source, scope)
        except (SyntaxError, RecursionError, MemoryError) as error:
            raise SchemaError("the schema is nested too deeply to be read; flatten it") from error
        decode: Decode = scope["decode"]
        return decode

    def _record(self, schema: Avro, path: str) -> str:
        values = self.fields(schema, path)
        for name, default in schema.get("defaults", {}).items():
            constant = self._constant(default)
            values[name] = f"copy({constant})" if isinstance(default, (dict, list)) else constant
        order = schema.get("order", values)
        return "{" + ", ".join(f"{name!r}: {values[name]}" for name in order) + "}"

    def _converted(self, value: str, convert: str) -> str:
        self._flush()
        name = self._name()
        self._emit(f"{name} = " + convert.format(value))
        return name

    def _fixed(self, kind: str, path: str) -> str:
        name = self._name()
        code, size = _FIXED[kind]
        self._pending.append((name, code, size))
        if self._finite and kind != "boolean":
            if self._indent == 2:
                self._numbers.append((name, path))
            else:
                self._flush()
                self._emit(f"if not -{LIMIT!r} <= {name} <= {LIMIT!r}: refuse_unfit(({path!r},), ({name},))")
        return name

    def _flush(self) -> None:
        """Read the neighbouring values of fixed width that have gathered."""
        if [code for _, code, _ in self._pending] == ["?"]:
            self._emit(f"{self._pending[0][0]} = data[p] != 0", "p += 1")
        elif self._pending:
            names = "".join(f"{name}, " for name, _, _ in self._pending)
            unpack = self._constant(Struct("<" + "".join(code for _, code, _ in self._pending)).unpack_from)
            self._emit(f"{names}= {unpack}(data, p)", f"p += {sum(size for _, _, size in self._pending)}")
        self._pending.clear()

    def _long(self, name: str, schema: Avro, kind: str) -> None:
        self._emit(f"{name} = {(z := self._varint())} >> 1 ^ -({z} & 1)")
        if kind == "int":
            self._refuse(f"not -2147483648 <= {name} <= 2147483647", "an int of more than 32 bits")
        logical = schema.get("logicalType", "") if isinstance(schema, dict) else ""
        if kind == "long" and TO_MILLIS.get(logical, 1) != 1:
            self._emit(f"{name} //= {TO_MILLIS[logical]}")

    def _union(self, name: str, branches: list[Avro], path: str) -> None:
        if len(branches) > _MAX_BRANCHES:
            raise SchemaError(f"the union at {path or 'the top'} has more than {_MAX_BRANCHES} branches")
        index = self._name()
        self._emit(f"{index} = data[p]", "p += 1")
        for number, branch in enumerate(branches):
            self._emit(f"{'elif' if number else 'if'} {index} == {2 * number}:")
            self._indent += 1
            value = self.read(branch, path)
            self._flush()
            self._emit(f"{name} = {value}")
            self._indent -= 1
        self._emit(
            f"else: raise DecodeError('malformed', 'no branch {{}} in the union at {path}'.format({index} >> 1))"
        )

    def _blocks(self, name: str, schema: Avro, kind: str, path: str) -> None:
        """An array or a map: blocks of items, each after its count; a negative count is followed by the block's size
        in bytes."""
        layout = ""
        if kind == "map" and schema["values"] == "double" and not self._finite:
            layout, found = self._constant(layouts.Reader()), self._name()
            self._emit(f"{found} = {layout}.read(data, p)", f"if {found}: {name}, p = {found}", "else:")
            self._indent += 1
        self._emit(f"{name} = {'[]' if kind == 'array' else '{}'}", "while True:")
        self._indent += 1
        count = self._varint()
        self._emit(f"if {count} == 0: break", f"if {count} & 1:")
        self._indent += 1
        self._varint()
        self._indent -= 1
        if kind == "array" and schema["items"] == columns.ITEM and not self._finite:
            run = self._name()
            self._emit(f"{run} = columns(data, p, {count} + 1 >> 1)")
            self._emit(f"if {run}:", f"    {name} += {run}", f"    p += {columns.WIDTH} * len({run})", "    continue")
        self._emit(f"for _ in range({count} + 1 >> 1):")
        self._indent += 1
        if kind == "map":
            key = self.read("string")
            value = self.read(schema["values"], f"{path}{{}}")
            self._flush()
            self._emit(f"{name}[{key}] = {value}")
        else:
            value = self.read(schema["items"], f"{path}[]")
            self._flush()
            self._emit(f"{name}.append({value})")
        self._indent -= 2
        if layout:
            self._emit(f"{layout}.learn({name})")
            self._indent -= 1

    def _varint(self) -> str:
        name = self._name()
        self._emit(f"{name} = data[p]", "p += 1", f"if {name} > 127: {name}, p = varint(data, p - 1)")
        return name

    def _refuse(self, condition: str, what: str) -> None:
        self._emit(f"if {condition}: raise DecodeError('malformed', '{what} at byte {{}}'.format(p))")

    def _constant(self, value: Any) -> str:
        name = f"c{len(self._scope)}"
        self._scope[name] = value
        return name

    def _name(self) -> str:
        self._names += 1
        return f"v{self._names}"

    def _emit(self, *lines: str) -> None:
        self._lines += ["    " * self._indent + line for line in lines]


def decoder(schema: Avro, header: bytes, refuse: Decode, *, finite: bool = False) -> Decode:
    """The decoder of whole records of `schema`, a tree of `canonical.expanded`."""
    program = Program(finite=finite)
    return program.build(header, program.read(schema), refuse)


def _unreadable(data: bytes, error: Exception) -> DecodeError:
    if isinstance(error, UnicodeDecodeError):
        return DecodeError("malformed", f"a string is not UTF-8 ({error.reason})")
    return DecodeError("truncated", f"the record goes on after its {len(data)} bytes; expected all of it")


def _misfit(read: int, size: int) -> DecodeError:
    if read > size:
        return DecodeError("truncated", f"{size} bytes; the record's lengths ask for {read}")
    return DecodeError("trailing", f"{size - read} bytes follow the record; expected its end at byte {read}")
