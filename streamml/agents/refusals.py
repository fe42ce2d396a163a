"""The snapshots of a model that must not be used. Law: what stands in the log is told once a life, and alerted.

A snapshot of another environment is honest: after an upgrade each of them is refused, and nobody needs to be woken.
"""

from __future__ import annotations

from collections.abc import Callable

from streamml.errors import ForeignSnapshot
from streamml.records import Record

_SHOWN = 3


class Refusals:
    """Gathered while `models` is read: one that was written anew or deleted later on does not stand any more."""

    def __init__(self) -> None:
        self._standing: dict[bytes, tuple[str, Exception]] = {}
        self.count = 0
        self.forged = 0
        self.spurious: set[bytes] = set()
        """Of the forged ones, `model/position`, until their learner has deleted them."""

    def refuse(self, record: Record, error: Exception) -> None:
        """A chunk, or the snapshot that it completes, must not be used."""
        where = f"{record.topic}[{record.partition}]@{record.offset}: snapshot refused"
        self._standing[_snapshot_of(record)] = (where, error)

    def settle(self, record: Record) -> None:
        """The snapshot of this chunk was deleted, or is whole and sound now."""
        self._standing.pop(_snapshot_of(record), None)

    def unusable(self, model: str, position: int, error: Exception) -> None:
        """A snapshot that looked sound could not be opened."""
        where = f"snapshot {model}@{position} is not used, the log is replayed"
        self._standing[f"{model}/{position}".encode()] = (where, error)

    def tell(self, report: Callable[[str], None]) -> None:
        """Report what stands, and forget it; the counters keep it."""
        lines = [f"{where}: {error}" for where, error in self._standing.values()]
        for line in lines[:_SHOWN]:
            report(line)
        if len(lines) > _SHOWN:
            report(f"{lines[-1].partition(']@')[0]}]: {len(lines) - _SHOWN} more snapshots refused")
        forged = {name for name, (_, error) in self._standing.items() if not isinstance(error, ForeignSnapshot)}
        self.count += len(lines)
        self.forged += len(forged)
        self.spurious |= forged
        self._standing.clear()


def _snapshot_of(record: Record) -> bytes:
    return (record.key or b"").rpartition(b"/")[0]
