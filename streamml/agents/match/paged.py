"""The join's state on a local disk, with a bounded part of it in memory. Law: the same outcomes as `State`, id by id.

Before a step looks at an id, what the store holds of it is brought in; so the decisions work on plain dicts as ever.
What a step changes is staged, and goes to the store once the transaction that carries the changelog has been
committed, together with the place of that transaction's last record, which is a record of the clocks.

That record, found again at its place, proves at the next start that the store belongs to this changelog and that the
cleaner has not come past it: only what follows is read then. Otherwise the store is emptied, and all is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from struct import Struct

from streamml.agents.match.entry import CLOCK, PACK, Clock, decode, decode_clock, decode_pack, limit_of
from streamml.agents.match.slots import StoredSlots
from streamml.agents.match.state import START, Slots, State
from streamml.records import Batch, Record, Write
from streamml.stores import Store

HOT = 20_000
"""Ids under way, and as many settled ones, that may stay in memory after a commit."""

_META = b"m"
_PLACE = Struct("<BqqQq")
"""Version, span and wait (ms); offset and time (ms) of the record of the clocks, whose value follows."""
_VERSION = 1
_ID, _UNLABELLED, _UNCLAIMED, _SETTLED = b"i", b"u", b"w", b"s"
_DONE = Struct("<Bq")
_IS_DONE = 1
"""How the value of a settled id begins; an entry's begins with 0."""
_PIECE = 5_000


class PagedState(State):
    """See `Local`: `start`, `stale`, `clear`, `committed` and `close`."""

    def __init__(self, span: int, wait: int, store: Store) -> None:
        self._store = store
        self._slots_of = (
            StoredSlots(store, _UNLABELLED, span),
            StoredSlots(store, _UNCLAIMED, span),
            StoredSlots(store, _SETTLED, span),
        )
        super().__init__(span, wait)
        self._held = self._remembered = 0
        self._forgotten: dict[bytes, None] = {}
        self._staged: list[Write] = []
        self._proof: bytes | None = None
        self._proven = False
        self.start = self.at = 0
        self._look()

    def _deadlines(self) -> tuple[Slots, Slots, Slots]:
        return self._slots_of

    @property
    def pending(self) -> int:
        return self._held + sum(not entry.saved for entry in self.changed.values())

    @property
    def settled(self) -> int:
        return self._remembered

    # Steps.

    def begin(self, batch: Batch) -> None:
        super().begin(batch)
        self._load([record.key or CLOCK for records in batch.values() for record in records])

    def expired(self, deadlines: Slots, mark: int) -> Iterator[bytes]:
        ids = super().expired(deadlines, mark)
        while piece := [*islice(ids, _PIECE)]:
            self._load(piece)
            yield from piece

    def settle(self, key: bytes, deadline: int) -> None:
        super().settle(key, deadline)
        self._forgotten.pop(key, None)
        self._remembered += 1

    def drop(self, key: bytes) -> None:
        self._held -= self.entries[key].saved
        super().drop(key)

    def _forget(self, key: bytes) -> None:
        super()._forget(key)
        self._forgotten[key] = None
        self._remembered -= 1

    def _load(self, keys: Sequence[bytes]) -> None:
        entries, done, forgotten = self.entries, self.done, self._forgotten
        # What is gone since the last commit stands in the store still.
        gone = {*forgotten, *self._gone}
        wanted = [key for key in dict.fromkeys(keys) if not (key in entries or key in done or key in gone)]
        for key, value in zip(wanted, self._store.get([_ID + key for key in wanted]), strict=True):
            if value is None:
                continue
            if value[0] == _IS_DONE:
                done[key] = _DONE.unpack(value)[1]
            else:
                entries[key] = decode(value)

    # Commits.

    def checkpoint(self, now: int) -> list[Write]:
        self._held += sum(not entry.saved for entry in self.changed.values())
        self._staged = super().checkpoint(now)
        if not self._staged:
            self._evict()  # There is nothing to be committed.
        return self._staged

    def committed(self, offset: int) -> None:
        store, clock, at, under_way = self._store, b"", 0, []
        for key, value, time, _ in self._staged:
            if key == CLOCK:
                clock, at = value or b"", time
            elif key is not None and value is not None and not key.startswith(PACK):
                under_way.append((key, value))
            else:
                self._stage(key or CLOCK, value)
        for key in self._forgotten:
            store.delete(_ID + key)
        # Last: an id may have been forgotten, and be under way again.
        for key, value in under_way:
            store.put(_ID + key, value)
        self._write(offset, at, clock)
        self._staged = []
        self._forgotten.clear()
        self._evict()

    def _evict(self) -> None:
        """Keep the newest in memory; all that is here stands in the store, as it is."""
        for ids in (self.entries, self.done):
            for key in [*islice(ids, max(0, len(ids) - HOT))]:
                del ids[key]

    def _stage(self, key: bytes, value: bytes | None) -> None:
        if not key.startswith(PACK):
            if value is None:
                self._store.delete(_ID + key)
            else:
                self._store.put(_ID + key, value)
        elif value is not None:
            for id, deadline in decode_pack(value).items():
                self._store.put(_ID + id, _DONE.pack(_IS_DONE, deadline))

    def _write(self, offset: int | None, at: int, clock: bytes) -> None:
        for slots in self._slots_of:
            slots.stage()
        if offset is not None:
            self._store.put(_META, _PLACE.pack(_VERSION, self._span, self._wait, offset, at) + clock)
        self._store.write()

    def close(self) -> None:
        self._store.close()

    # From one life to the next.

    @property
    def stale(self) -> bool:
        return self._proof is not None and not self._proven

    def clear(self) -> None:
        self._store.clear()
        for slots in self._slots_of:
            slots.clear()
        self._set_clock(Clock(START, START, 0, 0))
        self.start, self._proof = 0, None

    def _look(self) -> None:
        """Take up what the store holds, if it was made by this declaration."""
        [found] = self._store.get([_META])
        if found is not None:
            version, span, wait, offset, at = _PLACE.unpack_from(found)
            if (version, span, wait) == (_VERSION, self._span, self._wait):
                self.start, self.at, self._proof = offset, at, found[_PLACE.size :]
                self._set_clock(decode_clock(self._proof))
                for slots in self._slots_of:
                    slots.resume()
                return
        self.clear()

    def restore(self, records: Sequence[Record]) -> None:
        if self._proof is not None and not self._proven:
            first = records[0]
            if first.offset != self.start or first.key != CLOCK or first.value != self._proof:
                return
            self._proven = True
        offset, at, clock = None, 0, b""
        for record in records:
            key, value = record.key or CLOCK, record.value
            if key == CLOCK:
                offset, at, clock = record.offset, record.timestamp, value or b""
                continue
            self._stage(key, value)
            if value is None:
                continue
            if key.startswith(PACK):
                for id, deadline in decode_pack(value).items():
                    self._settled.add(deadline, id)
                self._settled.add(limit_of(key) - 1, key)
            else:
                self.note(key, decode(value))
        if clock:
            self._set_clock(decode_clock(clock))
        self._write(offset, at, clock)

    def _set_clock(self, clock: Clock) -> None:
        super()._set_clock(clock)
        self._held, self._remembered = clock.pending, clock.settled

    def resume(self) -> None:
        self.forget()
        # The packs may have brought back ids that the clock does not count any more.
        *_, settled = self._slots_of
        self._remembered = settled.count(but=PACK)
