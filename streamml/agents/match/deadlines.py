"""Ids by when they may be forgotten. Law: `take` gives no id too early, and each at most one slot's width late.

A heap would cost a logarithm for each event. Most deadlines are never looked at again, since the id was settled long
before: so ids lie in slots of time, and a slot is handed out as a whole.
"""

from __future__ import annotations

from heapq import heappop, heappush
from math import inf

SLOTS = 256


class Deadlines:
    """Ids in slots of time; `span` (ms) is how far ahead deadlines usually lie, and a slot is a small part of it."""

    def __init__(self, span: int) -> None:
        self._width = max(1, span // SLOTS)
        self._slots: dict[int, list[bytes]] = {}
        self._order: list[int] = []
        self.next_at: int | float = inf
        """The mark at which `take` will give something; looked at for each record, so it is a plain attribute."""

    def add(self, deadline: int, id: bytes) -> None:
        """Note that `id` matters until `deadline`; it may be noted more than once."""
        slot = deadline // self._width
        ids = self._slots.get(slot)
        if ids is None:
            self._slots[slot] = [id]
            heappush(self._order, slot)
            self.next_at = (self._order[0] + 1) * self._width
        else:
            ids.append(id)

    def limit(self, deadline: int) -> int:
        """The end of the slot that this deadline lies in."""
        return (deadline // self._width + 1) * self._width

    def take(self, mark: int, most: int) -> list[bytes]:
        """At most `most` ids of the oldest slot, if it lies wholly before `mark`; they are gone from here."""
        order = self._order
        if not order or order[0] >= mark // self._width:
            return []
        ids = self._slots[order[0]]
        taken = ids[:most]
        if len(ids) > most:
            del ids[:most]
        else:
            del self._slots[heappop(order)]
            self.next_at = (order[0] + 1) * self._width if order else inf
        return taken
