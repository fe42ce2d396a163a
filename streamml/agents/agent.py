"""The shape of every agent. Law: pure and synchronous; time comes in as an argument; the same records give the same
writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from streamml.records import Batch, Record, TopicPartition, Writes

Offsets = Mapping[TopicPartition, int]
"""The offset of the next record to read, by partition."""


class Reading(NamedTuple):
    """One figure that an agent shows to monitoring; a name that ends in `_total` only ever grows."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


class Agent(Protocol):
    """One stage over one partition (or over whole topics), driven by a runtime.

    The life of an agent: built, `restore`d from its changelog, told where to `resume`, then stepped for ever. Whatever
    goes wrong between two commits, the runtime throws the agent away and starts a new life from what was committed.
    """

    def restore(self, records: Sequence[Record]) -> None:
        """Take in the next batch of the agent's own changelog, in log order, before the first step."""

    def resume(self, committed: Offsets) -> Offsets:
        """Where to read from, given the committed offsets (a partition never committed stands at its beginning).

        An earlier offset than the committed one asks for a replay: the runtime steps the agent with the records up to
        the committed offset and drops what it writes.
        """

    def step(self, batch: Batch, now: int) -> Writes:
        """Take in the records and return what must be written because of them. `now` is in ms since the epoch.

        An empty result lets the runtime put off its commit. Never raises because of a record.
        """

    def checkpoint(self, now: int) -> Writes:
        """What has changed in the state since the last checkpoint, as writes to the changelog: called right before
        each commit, and written in the same transaction."""

    def observe(self) -> Iterable[Reading]:
        """The figures for monitoring, as they stand."""


class Local(Protocol):
    """What an agent has that keeps state on a local disk: its attribute `local`, None or absent in all others.

    The disk is a cache of the changelog, as of one of its records, and belongs to one agent at a time.
    """

    start: int
    """The offset of the changelog to restore from, that of the last record that the disk holds; 0: from its beginning.

    The record itself must be restored too: by it the agent knows the changelog again.
    """

    at: int
    """The time (ms) of that record."""

    @property
    def stale(self) -> bool:
        """After a restore: the disk was not one of this changelog. `clear` it, and restore everything."""

    def clear(self) -> None:
        """Start anew, with nothing."""

    def committed(self, offset: int) -> None:
        """The last checkpoint has been committed, and its last record stands at `offset` of the changelog."""

    def close(self) -> None:
        """Let go of the disk. The agent is of no use any more."""
