"""The Confluent wire format: a zero byte, a 4-byte big-endian schema id, the Avro body. Law: every value that we
write is framed so.

Source: https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
"""

from __future__ import annotations

from streamml.errors import DecodeError

HEADER_SIZE = 5
_MAGIC = 0


def header_of(schema_id: int) -> bytes:
    """The five bytes before every body written with schema `schema_id`."""
    return schema_id.to_bytes(HEADER_SIZE, "big")


def schema_id_of(data: bytes | None) -> int:
    """The id of the schema that `data` was written with.

    Raises:
        DecodeError: `empty`, `magic` or `truncated`: there is no such header.
    """
    if not data:
        raise DecodeError("empty", "no bytes; expected the 5-byte Confluent header and an Avro body")
    if data[0] != _MAGIC:
        raise DecodeError(
            "magic",
            f"the first byte is 0x{data[0]:02x}; expected 0x00 of the Confluent wire format "
            "(is the producer writing plain Avro or JSON?)",
        )
    if len(data) < HEADER_SIZE:
        raise DecodeError("truncated", f"{len(data)} bytes; expected the 5-byte Confluent header and an Avro body")
    return int.from_bytes(data[1:HEADER_SIZE], "big")


def splice(header: bytes, label: bytes, prediction: bytes, features: bytes) -> bytes:
    """A framed example out of the framed label, prediction and features; `header` is the examples codec's.

    An Avro record is the concatenation of its fields, and `Example` holds exactly these three, so no body is decoded.
    """
    return header + label[HEADER_SIZE:] + prediction[HEADER_SIZE:] + features[HEADER_SIZE:]
