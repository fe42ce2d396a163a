"""One record as one line. Law: whatever its bytes are, it is shown; what cannot be decoded says why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

from streamml.agents.quarantine import REASON
from streamml.cli.terminal import one_line
from streamml.errors import DecodeError
from streamml.records import Record, Role
from streamml.runtime.tail import Decoder
from streamml.topology import Topology

__all__ = ["REASON", "Renderer"]

_PREVIEW = 48
_LONG = 8


class Renderer:
    """Renders the records of one topic. `framed`: its values, or their reasons, are Avro behind a schema id."""

    def __init__(self, topology: Topology, role: Role, decoder: Decoder) -> None:
        self._role = role
        self._decoder = decoder
        formats = {"events": topology.events.format, "feedback": topology.feedback.format, "schemas": "json"}
        raw = role == "quarantine" or role.endswith("-changelog")
        self._format = "raw" if raw else formats.get(role, "avro")
        self.framed = self._format == "avro" or role == "quarantine"

    def json(self, record: Record) -> str:
        """A JSON object with topic, partition, offset, timestamp (ms), key, and what the record says."""
        place = {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "timestamp": record.timestamp,
            "key": text_of(record.key),
        }
        return dump({**place, **self._content(record)})

    def line(self, record: Record) -> str:
        """Partition and offset, time, key, and what the record says, shortened."""
        place = f"{record.partition}@{record.offset}"
        content = self._content(record)
        value = content.pop("value", None)
        said = [dump(_short(value))] if value is not None or not content else []
        said += [f"{name} {text if isinstance(text, str) else dump(_short(text))}" for name, text in content.items()]
        key = one_line(text_of(record.key) or "-")
        return f"{place:<10} {time_of(record.timestamp)} {key}  {one_line(' '.join(said))}"

    def _content(self, record: Record) -> dict[str, Any]:
        if self._role == "quarantine":
            return {**self._reason(record), **_bytes(record.value)}
        if record.value is None:
            return {"value": None}
        if self._format == "raw":
            return _bytes(record.value)
        try:
            value = self._decoder.json(record.value) if self._format == "json" else self._decoder.avro(record.value)
        except DecodeError as problem:
            return {"error": str(problem), **_bytes(record.value)}
        if self._role == "models" and isinstance(value, dict) and "payload" in value:
            value = {**value, "payload": len(value["payload"])}
        return {"value": value}

    def _reason(self, record: Record) -> dict[str, Any]:
        header = next((value for name, value in reversed(list(record.headers)) if name == REASON), None)
        if header is None:
            return {"error": f"no header {REASON}"}
        try:
            return {"reason": self._decoder.avro(header)}
        except DecodeError as problem:
            return {"error": str(problem)}


def _bytes(value: bytes | None) -> dict[str, Any]:
    if value is None:
        return {"bytes": None}
    return {"size": len(value), "bytes": repr(value[:_PREVIEW])[2:-1] + ("…" if len(value) > _PREVIEW else "")}


def text_of(key: bytes | None) -> str | None:
    """A key or a header as text; as hexadecimal where it is no UTF-8."""
    if key is None:
        return None
    try:
        return key.decode()
    except UnicodeDecodeError:
        return f"0x{key.hex()}"


def time_of(milliseconds: int) -> str:
    """ms since the epoch as ISO 8601; the number where no calendar has it."""
    try:
        at = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return str(milliseconds)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, list) and len(value) > _LONG:
        return f"{len(value)} values"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return value


def dump(value: Any) -> str:
    """JSON on one line; bytes one character each."""
    return orjson.dumps(value, default=lambda data: data.decode("latin-1")).decode()
