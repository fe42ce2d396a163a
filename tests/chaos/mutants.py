"""Defects planted in a worker, to see whether the checker finds them. Law: each is one that a person could write.

Sources: the pitfalls of transactions on Kafka, KIP-98 and KIP-447.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from streamml.records import Role, TopicPartition, Write, Writes
from streamml.runtime import life, opening, outbox
from streamml.runtime.context import Context

Outbox = outbox.Outbox
Commit = Callable[[Outbox, Sequence[Writes], Mapping[TopicPartition, int]], Awaitable[int]]
_commit: Commit = Outbox.commit

_PAUSE_S = 0.05
"""Between the two halves of what should have been one: so that a few kills find the gap, not a few hundred."""


@dataclass(frozen=True)
class Mutant:
    """A planted defect: `faults` bring it to light, a line of the checker with one of `shows` in it is its trace."""

    defect: str
    plant: Callable[[], None]
    faults: str
    shows: tuple[str, ...]
    least: float = 0.0
    """How long each fault must last at least, in s."""


def _offsets_first() -> None:
    async def commit(self: Outbox, writes: Sequence[Writes], offsets: Mapping[TopicPartition, int]) -> int:
        await _commit(self, (), offsets)
        await asyncio.sleep(_PAUSE_S)
        return await _commit(self, writes, {})

    replace(Outbox, "commit", commit)


def _no_changelog() -> None:
    async def commit(self: Outbox, writes: Sequence[Writes], offsets: Mapping[TopicPartition, int]) -> int:
        kept = [{role: rows for role, rows in each.items() if role != "match-changelog"} for each in writes]
        return await _commit(self, kept, offsets)

    replace(Outbox, "commit", commit)


def _plain_offsets() -> None:
    """The consumer's own commit, after the transaction's."""
    consumers: dict[int, Any] = {}
    new_outbox = life.Life._new_outbox

    def remember(self: life.Life) -> Outbox:
        made = new_outbox(self)
        consumers[id(made)] = self._context
        return made

    async def commit(self: Outbox, writes: Sequence[Writes], offsets: Mapping[TopicPartition, int]) -> int:
        count = await _commit(self, writes, {})
        context: Context = consumers[id(self)]
        if offsets:
            await asyncio.sleep(_PAUSE_S)
            await context.consumer.commit(dict(offsets))
        return count

    replace(life.Life, "_new_outbox", remember)
    replace(Outbox, "commit", commit)


def _no_fencing() -> None:
    """Each producer under an id of its own: nobody fences a zombie, nobody ends what the dead left open."""
    named = Context.transactional_id
    replace(Context, "transactional_id", lambda self, unit: f"{named(self, unit)}-{uuid4().hex}")


def _double_replay() -> None:
    """After an opening the last hundred offsets are worked on again."""
    open_unit = opening.open_unit

    async def again(*arguments: Any) -> dict[TopicPartition, int]:
        start = await open_unit(*arguments)
        return {tp: max(0, offset - 100) for tp, offset in start.items()}

    replace(life, "open_unit", again)


def _disorder() -> None:
    """What goes to one partition is sent newest first."""
    by_partition = Outbox._by_partition

    def reversed_(self: Outbox, role: Role, records: Sequence[Write]) -> Mapping[int, Sequence[Write]]:
        return {number: group[::-1] for number, group in by_partition(self, role, records).items()}

    replace(Outbox, "_by_partition", reversed_)


def replace(owner: Any, name: str, with_: Any) -> None:
    """Put something else in the place of a part of streamml, in this process."""
    assert hasattr(owner, name), f"{owner} has no {name} any more: what was to be planted there?"
    setattr(owner, name, with_)


MUTANTS: dict[str, Mutant] = {
    "offsets-first": Mutant("offsets are committed before the outputs are flushed", _offsets_first, "kill", ("lost",)),
    "no-changelog": Mutant("the join's changelog is not written", _no_changelog, "kill", ("lost", "pending")),
    "plain-offsets": Mutant(
        "offsets are committed outside of the transaction", _plain_offsets, "kill,rebalance", ("doubled",)
    ),
    "no-fencing": Mutant(
        "each producer has a transactional id of its own",
        _no_fencing,
        "stop",
        # A learner that wakes up writes windows once more that its successor has written.
        ("doubled", "metrics of"),
        least=10.0,
    ),
    "double-replay": Mutant(
        "after a restart the last records are worked on again", _double_replay, "term", ("doubled",)
    ),
    "disorder": Mutant("what goes to one partition is sent newest first", _disorder, "term", ("disordered",)),
}
