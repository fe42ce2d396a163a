"""Reading what producers outside write. Law: whatever the bytes are, the answer is a canonical event or a
DecodeError.

Canonical: a dict in the order of the topology's schema; double and float are float, long and int are int, times are
int milliseconds since 1970 (rounded down), every float finite with a magnitude of at most `finite.LIMIT`. The same
event is the same dict in both formats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import orjson

from streamml.errors import DecodeError
from streamml.schemas.canonical import alike, expanded
from streamml.schemas.coercion import coercer
from streamml.schemas.reading import decoder
from streamml.schemas.registry import Registry
from streamml.schemas.resolution import Versions
from streamml.schemas.wire import header_of


class EventReader:
    """Reads one topic's records as `schema`.

    `avro`: the Confluent wire format; the schema that a record was written with is looked up by its id, which must be
    that of a version of `subject` in `registry` (versions that come later are seen as well). `json`: one object,
    coerced by the same schema.

    The rules of a refusal: `empty`, `magic`, `schema_id`, `truncated`, `trailing`, `malformed`, `json`, `schema`,
    `finite`.

    Raises:
        SchemaError: `schema` is not one that can be read.
    """

    read: Callable[[bytes | None], dict[str, Any]]
    """The canonical event. Raises DecodeError, and nothing else."""

    def __init__(
        self, schema: Mapping[str, Any], format: Literal["avro", "json"], registry: Registry, subject: str
    ) -> None:
        tree = expanded(schema)
        self._registry = registry
        self._subject = subject
        if format == "json":
            self._coerce = coercer(tree)
            self.read = self._read_json
            return
        versions = Versions(tree, self._find, logical=True, finite=True)
        own = self._own_id(schema)
        self.read = versions.decode if own is None else decoder(tree, header_of(own), versions.decode, finite=True)

    def _own_id(self, own: Mapping[str, Any]) -> int | None:
        """The id of the reader's own schema: most records are written with it, so it is tried first."""
        for _, schema_id, schema in reversed(self._registry.versions(self._subject)):
            if alike(schema, own):
                return schema_id
        return None

    def _find(self, schema_id: int) -> Any:
        if not self._registry.belongs(schema_id, self._subject):
            known = ", ".join(str(i) for _, i, _ in self._registry.versions(self._subject)) or "none"
            raise DecodeError(
                "schema_id", f"schema id {schema_id} is not of {self._subject}; expected one of its versions: {known}"
            )
        return self._registry.schema(schema_id)

    def _read_json(self, data: bytes | None) -> dict[str, Any]:
        if not data:
            raise DecodeError("empty", "no bytes; expected one JSON object")
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise DecodeError("json", f"not JSON at character {error.pos}: {error.msg}; expected one object") from None
        event: dict[str, Any] = self._coerce(value, "")
        return event
