"""What a checker reads and what it says. Law: a verdict without failures is a good one; a failure is one line.

A checker is given functions and iterables: it knows nothing of Kafka.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from chaos.join import Record


class Row(Record, Protocol):
    """One record of a log, with where it lies; see `chaos.reading.Row`."""

    @property
    def partition(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, bytes]: ...


Read = Callable[[str, int | None], Iterable[Row]]
"""The records of a role, of one partition or of all; it may be asked again."""


@dataclass
class Verdict:
    """What was found. `failures` is empty after a good run; `offenders` are ids, of those failures that have any."""

    failures: list[str] = field(default_factory=list)
    offenders: Counter[bytes] = field(default_factory=Counter)
    figures: dict[str, Any] = field(default_factory=dict)

    def fail(self, what: str, ids: Iterable[bytes] = ()) -> None:
        named = sorted(ids)
        self.failures.append(f"{what}, such as {named[0].decode(errors='replace')}" if named else what)
        self.offenders.update(named[:100])


def codes() -> array[int]:
    """An empty sequence of codes."""
    return array("q")
