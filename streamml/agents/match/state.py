"""All that one partition of the join remembers, and its changelog. Law: what `checkpoint` gave, restored in its order,
is the state at that checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from streamml.agents.match.deadlines import Deadlines
from streamml.agents.match.entry import (
    CLOCK,
    PACK,
    Clock,
    Entry,
    decode,
    decode_clock,
    decode_pack,
    encode,
    encode_clock,
    encode_pack,
    limit_of,
)
from streamml.records import Batch, Record, Write

START = -(1 << 62)
"""A watermark before any record."""

BUDGET = 20_000
"""Ids that a step lets go for their age: what is left waits for the next step, so that a clock that
leaps ahead makes no transaction of millions of records."""


class Slots(Protocol):
    """See `Deadlines`."""

    next_at: int | float

    def add(self, deadline: int, id: bytes) -> None: ...
    def limit(self, deadline: int) -> int: ...
    def take(self, mark: int, most: int) -> list[bytes]: ...


class State:
    """Ids under way (`entries`) and settled ones (`done`, with the deadline until which each is remembered).

    Deadlines may name ids that are long settled or gone: whoever passes one looks at the id itself. Times are in ms;
    `span` is how long after its event an id matters, `wait` how long after its own time a label waits for its event.
    """

    def __init__(self, span: int, wait: int) -> None:
        self._span = span
        self._wait = wait
        self.entries: dict[bytes, Entry] = {}
        self.done: dict[bytes, int] = {}
        self.unlabelled, self.unclaimed, self._settled = self._deadlines()
        self.features_mark = START
        self.labels_mark = START
        self.changed: dict[bytes, Entry] = {}
        """The entries to be saved by the next checkpoint."""
        self._new: list[tuple[bytes, int]] = []
        self._gone: list[bytes] = []
        self._packs: dict[bytes, None] = {}
        self._budget = BUDGET
        self._saved_marks = (START, START)

    def _deadlines(self) -> tuple[Slots, Slots, Slots]:
        return Deadlines(self._span), Deadlines(self._span), Deadlines(self._span)

    @property
    def pending(self) -> int:
        """How many ids are under way."""
        return len(self.entries)

    @property
    def settled(self) -> int:
        """How many settled ids are remembered."""
        return len(self.done)

    def begin(self, batch: Batch) -> None:
        """A step on `batch` begins."""
        self._budget = BUDGET

    def settle(self, key: bytes, deadline: int) -> None:
        """The fate of the id is known: only doubles of it are looked for, until `deadline`."""
        self.drop(key)
        self.done[key] = deadline
        self._settled.add(deadline, key)
        self._new.append((key, deadline))

    def drop(self, key: bytes) -> None:
        """The id is not under way any more."""
        if self.entries.pop(key).saved:
            self._gone.append(key)
        self.changed.pop(key, None)

    def expired(self, deadlines: Slots, mark: int) -> Iterator[bytes]:
        """Ids of which `deadlines` says that `mark` has passed them, oldest first."""
        while self._budget > 0 and (ids := deadlines.take(mark, self._budget)):
            self._budget -= len(ids)
            yield from ids

    def forget(self) -> None:
        """Drop the settled ids whose deadline both streams have passed."""
        mark, done = min(self.features_mark, self.labels_mark), self.done
        if mark < self._settled.next_at:
            return
        for key in self.expired(self._settled, mark):
            deadline = done.get(key)
            if deadline is None:
                if key.startswith(PACK):
                    self._gone.append(key)
            elif deadline < mark:
                self._forget(key)

    def _forget(self, key: bytes) -> None:
        del self.done[key]

    def checkpoint(self, now: int) -> list[Write]:
        """The changes since the last one, as records of the changelog; the record of the clocks is the last of them."""
        marks = self.features_mark, self.labels_mark
        if not (self.changed or self._new or self._gone or marks != self._saved_marks):
            return []
        # The order matters for an id that comes back: gone, or settled and forgotten, and under way again.
        changes: list[Write] = [(key, None, now, ()) for key in self._gone]
        for limit, settled in self._slots().items():
            key, value = encode_pack(settled, limit)
            changes.append((key, value, now, ()))
            self._settled.add(limit - 1, key)
        for key, entry in self.changed.items():
            changes.append((key, encode(entry), now, ()))
            entry.saved = True
        changes.append((CLOCK, encode_clock(Clock(*marks, self.pending, self.settled)), now, ()))
        self._saved_marks = marks
        self.changed.clear()
        self._new.clear()
        self._gone.clear()
        return changes

    def _slots(self) -> dict[int, list[tuple[bytes, int]]]:
        slots: dict[int, list[tuple[bytes, int]]] = {}
        limit = self._settled.limit
        for pair in self._new:
            slots.setdefault(limit(pair[1]), []).append(pair)
        return slots

    def restore(self, records: Sequence[Record]) -> None:
        """Take in records of the changelog, in their order."""
        entries, done = self.entries, self.done
        for record in records:
            key, value = record.key or CLOCK, record.value
            if key == CLOCK:
                if value is not None:
                    self._set_clock(decode_clock(value))
            elif key.startswith(PACK):
                if value is None:
                    self._packs.pop(key, None)
                else:
                    done.update(decode_pack(value))
                    self._packs[key] = None
            else:
                entries.pop(key, None)
                done.pop(key, None)
                if value is not None:
                    entries[key] = decode(value)

    def _set_clock(self, clock: Clock) -> None:
        self._saved_marks = self.features_mark, self.labels_mark = clock.features_mark, clock.labels_mark

    def resume(self) -> None:
        """All of the changelog has been restored."""
        for key, entry in self.entries.items():
            self.note(key, entry)
        for key, deadline in self.done.items():
            self._settled.add(deadline, key)
        for key in self._packs:
            self._settled.add(limit_of(key) - 1, key)
        self._packs.clear()
        self.forget()

    def note(self, key: bytes, entry: Entry) -> None:
        """Note the deadlines of an entry."""
        for waiting in entry.waiting:
            self.unclaimed.add(waiting.time + self._wait, key)
        if entry.features is not None and entry.label is None:
            self.unlabelled.add(entry.event_time + self._span, key)
