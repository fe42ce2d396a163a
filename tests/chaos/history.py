"""The smallest history of a failure. Law: all records of one id, where they stand, and the faults of that time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chaos.codes import id_in_event, producer_and_tick
from chaos.strikes import Done
from chaos.ticks import Pace
from chaos.verdict import Read
from support.tiny import START

ROLES = ("events", "feedback", "features", "predictions", "labels", "examples", "quarantine", "match-changelog")
_BEFORE_S, _AFTER_S = 10.0, 60.0


def history(id: bytes, read: Read, pace: Pace, done: Sequence[Done]) -> list[str]:
    """The lines of one id's history."""
    lines = [f"history of {id.decode()}:"]
    for role in ROLES:
        for row in read(role, None):
            if row.key == id or (role == "events" and not row.key.startswith(b"m") and _holds(row.value, id)):
                size = "deleted" if row.value is None else f"{len(row.value)} bytes {row.value[:80].hex()}"
                lines.append(f"  {role}/{row.partition}@{row.offset} time {row.timestamp - START} ms: {size}")
    producer, tick = producer_and_tick(id.removeprefix(b"x"))
    made = (pace.time(producer, tick) - START) / 1_000
    lines.append(f"  its event was made {made:.1f} s after the start; the faults around that time:")
    return lines + list(_around(done, made))


def _holds(value: bytes | None, id: bytes) -> bool:
    return value is not None and len(value) > len(id) + 5 and id_in_event(value) == id


def _around(done: Sequence[Done], at: float) -> Iterable[str]:
    near = [each for each in done if at - _BEFORE_S <= each.at <= at + _AFTER_S]
    return [f"    {each.at:.1f} s  {each.what}" for each in near[:20]] or ["    none"]
