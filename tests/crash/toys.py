"""Small agents whose right outcome anyone can compute. Law: each makes one kind of loss or doubling visible.

`Tally` counts the records of each key (keyed state, changelog written at checkpoints), `Join` pairs two inputs (keyed
state with tombstones), `Fold` chains a hash over one log (snapshot state, replay).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from streamml.agents.agent import Offsets, Reading
from streamml.engine.task import Task
from streamml.records import Batch, Record, TopicPartition, Write, Writes

SNAPSHOT_EVERY = 300
METRIC_EVERY = 50


class Tally:
    """Writes each record with how often its key has come, and its counts to the changelog when a commit is due."""

    def __init__(self, unit: int) -> None:
        self.unit = unit
        self.counts: dict[bytes, int] = {}
        self._changed: dict[bytes, int] = {}

    def restore(self, records: Sequence[Record]) -> None:
        self.counts.update((r.key or b"", int(r.value or b"")) for r in records)

    def resume(self, committed: Offsets) -> Offsets:
        return committed

    def step(self, batch: Batch, now: int) -> Writes:
        out: list[Write] = []
        for record in batch.get("in", ()):
            key = record.key or b""
            count = self.counts[key] = self._changed[key] = self.counts.get(key, 0) + 1
            out.append((record.key, b"%s #%d" % (record.value, count), now, ()))
        return {"out": out} if out else {}

    def checkpoint(self, now: int) -> Writes:
        changed, self._changed = self._changed, {}
        return {"counts": [(key, b"%d" % count, now, ()) for key, count in changed.items()]}

    def observe(self) -> Iterable[Reading]:
        yield Reading("keys", (), len(self.counts))


class Join:
    """Pairs the records of `left` and `right` by key, in whatever order they come; what waits is in the changelog."""

    def __init__(self, unit: int) -> None:
        self.waiting: dict[bytes, bytes] = {}

    def restore(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.value is None:
                self.waiting.pop(record.key or b"", None)
            else:
                self.waiting[record.key or b""] = record.value

    def resume(self, committed: Offsets) -> Offsets:
        return committed

    def step(self, batch: Batch, now: int) -> Writes:
        pairs: list[Write] = []
        changes: list[Write] = []
        for side, records in batch.items():
            for record in records:
                key, value = record.key or b"", side.encode() + b"=" + (record.value or b"")
                other = self.waiting.pop(key, None)
                if other is None:
                    self.waiting[key] = value
                    changes.append((key, value, now, ()))
                else:
                    pairs.append((key, b" ".join(sorted((other, value))), now, ()))
                    changes.append((key, None, now, ()))
        return {"pairs": pairs, "waiting": changes}

    def checkpoint(self, now: int) -> Writes:
        return {}

    def observe(self) -> Iterable[Reading]:
        return ()


class Fold:
    """Chains a hash over its input, tells it every 50 records, and keeps a snapshot of it every 300."""

    def __init__(self, unit: int) -> None:
        self.position, self.digest, self.offset = 0, b"", 0
        self._snapshot_at = 0
        self._source: TopicPartition | None = None

    def restore(self, records: Sequence[Record]) -> None:
        for record in records:
            position, offset, digest = (record.value or b"").split(b" ")
            self.position, self.offset, self.digest = int(position), int(offset), digest
        self._snapshot_at = self.position

    def resume(self, committed: Offsets) -> Offsets:
        return dict.fromkeys(committed, self.offset if self.position else 0)

    def step(self, batch: Batch, now: int) -> Writes:
        out: list[Write] = []
        for record in batch.get("log", ()):
            self.digest = hashlib.md5(self.digest + (record.value or b"")).hexdigest().encode()
            self.position += 1
            self.offset = record.offset + 1
            if self.position % METRIC_EVERY == 0:
                out.append((b"fold", b"%d %s" % (self.position, self.digest), now, ()))
        return {"told": out} if out else {}

    def checkpoint(self, now: int) -> Writes:
        if self.position - self._snapshot_at < SNAPSHOT_EVERY:
            return {}
        self._snapshot_at = self.position
        return {"snapshots": [(b"fold", b"%d %d %s" % (self.position, self.offset, self.digest), now, ())]}

    def observe(self) -> Iterable[Reading]:
        yield Reading("position", (), self.position)


TALLY = Task("tally", ("in",), ("out",), "partition", Tally, changelog="counts")
JOIN = Task("join", ("left", "right"), ("pairs",), "partition", Join, changelog="waiting")
FOLD = Task("fold", ("log",), ("told",), "whole", Fold, changelog="snapshots", uses=lambda: ("fold",))
TASKS = {task.name: task for task in (TALLY, JOIN, FOLD)}


def tallied(values: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """What a `Tally` writes for these (key, value) in this order."""
    written: list[tuple[bytes, bytes]] = []
    counts: dict[bytes, int] = {}
    for key, value in values:
        counts[key] = counts.get(key, 0) + 1
        written.append((key, b"%s #%d" % (value, counts[key])))
    return written


def folded(values: Sequence[bytes]) -> dict[int, bytes]:
    """What a `Fold` tells: the digest by position."""
    digest, told = b"", {}
    for position, value in enumerate(values, 1):
        digest = hashlib.md5(digest + value).hexdigest().encode()
        if position % METRIC_EVERY == 0:
            told[position] = digest
    return told
