"""Reading and writing the records of one schema of ours. Law: framed Avro in and out; times are plain longs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import fastavro

from streamml.errors import DecodeError, SchemaError
from streamml.schemas.canonical import expanded
from streamml.schemas.reading import decoder
from streamml.schemas.registry import Registry
from streamml.schemas.resolution import Versions
from streamml.schemas.wire import header_of
from streamml.schemas.writing import encoder


class Codec:
    """`registry` lets `decode` read the records of other versions of the schema too: a log outlives the schema of its
    head."""

    encode: Callable[[Mapping[str, Any]], bytes]
    """The framed record of canonical values: what Python itself takes for a number (True for 1) is not looked at again.

    Raises SchemaError if the value does not fit the schema: a mistake of the writer.
    """

    decode: Callable[[bytes | None], dict[str, Any]]
    """The record, its fields in the schema's order. Raises DecodeError; `rule` says what is wrong with the bytes."""

    def __init__(self, schema: Mapping[str, Any], schema_id: int, registry: Registry | None = None) -> None:
        tree = expanded(schema, logical=False)
        self.id = schema_id
        self.header = header_of(schema_id)
        self.schema = dict(schema)
        self._registry = registry
        self._name = tree["name"]
        self._tree = tree
        self.encode = encoder(tree, self.header, self._misfit)
        self.decode = decoder(tree, self.header, Versions(tree, self._find, logical=False, finite=False).decode)

    def halves(
        self, *names: str
    ) -> tuple[Callable[[Mapping[str, Any]], bytes], Callable[[Mapping[str, Any], bytes], bytes]]:
        """Two encoders that together are `encode`, for records of a batch that have the fields `names` in common.

        The first one gives the bytes of these fields, which must be neighbours in the schema; the second one the framed
        record of the other fields' values and those bytes.
        """
        fields = [field for field in self._tree["fields"] if field["name"] in names]
        places = [self._tree["fields"].index(field) for field in fields]
        if len(fields) != len(names) or places != list(range(places[0], places[0] + len(places))):
            raise SchemaError(f"{', '.join(names)} are not neighbouring fields of {self._name}")
        ordered = [field["name"] for field in fields]
        common = encoder({**self._tree, "fields": fields}, b"", self._misfit)
        return common, encoder(self._tree, self.header, self._misfit, ordered)

    def _find(self, schema_id: int) -> Any:
        if self._registry is None:
            raise DecodeError("schema_id", f"schema id {schema_id}; expected {self.id} ({self._name})")
        try:
            return self._registry.schema(schema_id)
        except SchemaError as error:
            raise DecodeError("schema_id", str(error)) from error

    def _misfit(self, value: Any, error: Exception) -> SchemaError:
        """fastavro says which field it is."""
        said = f"{type(error).__name__}: {error}"
        try:
            fastavro.validate(value, fastavro.parse_schema(self.schema))
        except Exception as found:  # whatever it says is only a better message
            lines = [" ".join(str(line).split()) for line in getattr(found, "errors", (found,))]
            said = "; ".join(lines)[:300]
        return SchemaError(f"cannot write {self._name}: {said}")
