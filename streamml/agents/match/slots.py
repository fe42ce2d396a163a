"""Ids by when they may be forgotten, on disk. Law: that of `Deadlines`, with no more in memory than was added since the
last commit."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import islice
from math import inf
from struct import Struct

from streamml.agents.match.deadlines import SLOTS
from streamml.stores import Store

_SLOT = Struct(">Q")
_BIAS = 1 << 63
"""Slots before 1970 are negative; in the keys, numbers must stand in their order."""


class StoredSlots:
    """`Deadlines` under `prefix` (a byte) of a store; what has changed goes there with `stage`."""

    def __init__(self, store: Store, prefix: bytes, span: int) -> None:
        self._store = store
        self._prefix = prefix
        self._width = max(1, span // SLOTS)
        self._fresh: dict[int, list[bytes]] = {}
        self._taken: list[tuple[bytes, bytes]] = []
        self._from: dict[int, bytes] = {}
        self._order: list[int] = []
        self._known: set[int] = set()
        self.next_at: int | float = inf

    def add(self, deadline: int, id: bytes) -> None:
        """See `Deadlines.add`."""
        slot = deadline // self._width
        self._fresh.setdefault(slot, []).append(id)
        if slot not in self._known:
            self._note(slot)

    def limit(self, deadline: int) -> int:
        """See `Deadlines.limit`."""
        return (deadline // self._width + 1) * self._width

    def take(self, mark: int, most: int) -> list[bytes]:
        """See `Deadlines.take`."""
        order, end = self._order, mark // self._width
        ids: list[bytes] = []
        while not ids and order and order[0] < end:
            ids = self._take(order[0], most)
        self._look_ahead()
        return ids

    def _take(self, slot: int, most: int) -> list[bytes]:
        first, limit = self._key(slot), self._key(slot + 1)
        keys = [*islice(self._keys(slot), most)]
        ids = [key[len(first) :] for key in keys]
        fresh = self._fresh.pop(slot, []) if len(ids) < most else []
        left = fresh[most - len(ids) :]
        if len(ids) == most or left:
            # The slot is not done with: what was taken of it is gone from the store at the next commit only.
            self._from[slot] = until = limit if left else keys[-1] + b"\0"
            if left:
                self._fresh[slot] = left
        else:
            until = limit
            self._known.discard(heappop(self._order))
            self._from.pop(slot, None)
        self._taken.append((first, until))
        return ids + fresh[: len(fresh) - len(left)]

    def stage(self) -> None:
        """Hand the changes to the store, to be written."""
        for first, until in self._taken:
            self._store.delete_range(first, until)
        for slot, ids in self._fresh.items():
            start = self._key(slot)
            for id in ids:
                self._store.put(start + id, b"")
        for kept in (self._taken, self._fresh, self._from):
            kept.clear()

    def resume(self) -> None:
        """Take up the slots that the store holds."""
        at = b""
        while (key := next(self._store.keys(self._prefix + at, bytes([self._prefix[0] + 1])), None)) is not None:
            (biased,) = _SLOT.unpack_from(key, 1)
            self._note(biased - _BIAS)
            at = _SLOT.pack(biased + 1)

    def count(self, but: bytes) -> int:
        """How many different ids of each slot there are, those that begin with `but` left out."""
        return sum(not key.startswith(but, 9) for slot in self._order for key in self._keys(slot)) + sum(
            not id.startswith(but) for ids in self._fresh.values() for id in ids
        )

    def clear(self) -> None:
        """Forget all."""
        for kept in (self._fresh, self._taken, self._from, self._order, self._known):
            kept.clear()
        self._look_ahead()

    def _note(self, slot: int) -> None:
        self._known.add(slot)
        heappush(self._order, slot)
        self._look_ahead()

    def _look_ahead(self) -> None:
        self.next_at = (self._order[0] + 1) * self._width if self._order else inf

    def _keys(self, slot: int) -> Iterator[bytes]:
        return self._store.keys(self._from.get(slot, self._key(slot)), self._key(slot + 1))

    def _key(self, slot: int) -> bytes:
        return self._prefix + _SLOT.pack(slot + _BIAS)
