"""Refusing a record. Law: the original key, value, headers and timestamp go on untouched; why stands beside them in
headers."""

from __future__ import annotations

from typing import Any, Protocol

from streamml.records import Record, Write

REASON = "streamml.quarantine"
ERROR = "streamml.error"


class Encoder(Protocol):
    """What frames the reason: `schemas.Codec`."""

    def encode(self, value: dict[str, Any]) -> bytes: ...


class Quarantine:
    """Makes the writes to the quarantine topic for one agent, and counts them by rule."""

    def __init__(self, codec: Encoder, agent: str) -> None:
        self._codec = codec
        self._agent = agent
        self.counts: dict[str, int] = {}

    def refuse(self, record: Record, rule: str, error: str, now: int, field: str | None = None) -> Write:
        """The write that moves `record` to the quarantine because of `rule`."""
        self.counts[rule] = self.counts.get(rule, 0) + 1
        line = " ".join(error.split())
        reason = {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "agent": self._agent,
            "rule": rule,
            "field": field,
            "error": line,
            "at": now,
        }
        headers = [
            *record.headers,
            (REASON, self._codec.encode(reason)),
            (ERROR, f"{record.topic}[{record.partition}]@{record.offset}: {line}".encode()),
        ]
        return record.key, record.value, record.timestamp, headers
