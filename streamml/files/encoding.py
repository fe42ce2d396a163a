"""From canonical values to the bytes of a topic. Law: what is written here is read back as the same canonical value.

Canonical times are in ms whatever the schema's unit is; a schema in microseconds or nanoseconds gets its own unit back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import orjson

from streamml.schemas import Codec
from streamml.schemas.canonical import Avro, expanded

Encode = Callable[[dict[str, Any]], bytes]

_PER_MILLI = {"timestamp-micros": 1_000, "timestamp-nanos": 1_000_000}


def encoder_of(format: Literal["avro", "json"], schema: Mapping[str, Any], schema_id: int) -> Encode:
    """What encodes the canonical values of `schema`: framed Avro under `schema_id`, or one JSON object."""
    if format == "json":
        # Bytes are text of one character a byte, as in Avro's own JSON encoding.
        return lambda value: orjson.dumps(value, default=lambda data: data.decode("latin-1"))
    encode = Codec(schema, schema_id).encode
    convert = _units(expanded(schema))
    return encode if convert is None else lambda value: encode(convert(value))


def _units(schema: Avro) -> Callable[[Any], Any] | None:
    """What turns canonical times into those of the schema; None where all are in ms."""
    if isinstance(schema, list):
        found = next((convert for branch in schema if (convert := _units(branch)) is not None), None)
        return None if found is None else lambda value: None if value is None else found(value)
    if not isinstance(schema, dict):
        return None
    factor = _PER_MILLI.get(schema.get("logicalType", ""))
    if factor is not None:
        return lambda value: value * factor
    if "fields" in schema:
        fields = {f["name"]: convert for f in schema["fields"] if (convert := _units(f["type"])) is not None}
        if not fields:
            return None
        return lambda value: {**value, **{name: convert(value[name]) for name, convert in fields.items()}}
    inner = _units(schema["items"]) if "items" in schema else _units(schema["values"]) if "values" in schema else None
    if inner is None:
        return None
    return lambda value: (
        {key: inner(item) for key, item in value.items()}
        if isinstance(value, dict)
        else [inner(item) for item in value]
    )
