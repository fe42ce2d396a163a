"""Who works on which unit of a task. Law: loads differ by at most one, and nothing moves without need.

A unit is what one agent reads: partition p of every input topic (`partition`), or everything (`whole`). aiokafka's own
assignors place single partitions, so that the inputs of a join could end up with different members.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

from streamml.engine.task import Scope
from streamml.records import TopicPartition

_VERSION = 0


class Claim(NamedTuple):
    """What a member had, and in which round of the group it got it; a member that was away has an older round."""

    round: int = 0
    units: frozenset[int] = frozenset()


def assign_units(units: Sequence[int], claims: Mapping[str, Claim]) -> dict[str, list[int]]:
    """Each unit to one member: loads differ by at most one, a member keeps what it has as far as that allows.

    Two members that claim one unit are settled by the later round, then by the smaller id (after KIP-54).
    """
    if not claims:
        return {}
    owned = _owned(units, claims)
    fewest, extras = divmod(len(units), len(claims))
    # The members that have the most keep one more: that moves the fewest units.
    by_load = sorted(owned, key=lambda member: (-len(owned[member]), member))
    quota = {member: fewest + (rank < extras) for rank, member in enumerate(by_load)}
    kept = {member: owned[member][: quota[member]] for member in sorted(owned)}
    settled = {unit for mine in kept.values() for unit in mine}
    free = iter([unit for unit in units if unit not in settled])
    for member, mine in kept.items():
        mine.extend(unit for _, unit in zip(range(quota[member] - len(mine)), free, strict=False))
        mine.sort()
    return kept


def _owned(units: Sequence[int], claims: Mapping[str, Claim]) -> dict[str, list[int]]:
    owner: dict[int, str] = {}
    for member in sorted(claims):
        for unit in claims[member].units:
            if unit not in owner or claims[member].round > claims[owner[unit]].round:
                owner[unit] = member
    owned: dict[str, list[int]] = {member: [] for member in claims}
    for unit in units:
        if unit in owner:
            owned[owner[unit]].append(unit)
    return owned


def units_of(scope: Scope, partitions: Mapping[str, int]) -> dict[int, list[TopicPartition]]:
    """The units of a task and what each reads, given the partition count of each input topic."""
    everything = [TopicPartition(topic, p) for topic in sorted(partitions) for p in range(partitions[topic])]
    if scope == "whole":
        return {0: everything}
    units: dict[int, list[TopicPartition]] = {p: [] for p in range(max(partitions.values(), default=0))}
    for tp in everything:
        units[tp.partition].append(tp)
    return units


class UnitAssignor:
    """aiokafka's assignor for the units of one task; one per consumer, since it remembers what it was given."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._mine = Claim()

    @property
    def name(self) -> str:
        """The protocol's name: members of another scope are refused by the group's coordinator."""
        return f"streamml-{self._scope}"

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        return ConsumerProtocolMemberMetadata(_VERSION, sorted(topics), _dump(self._mine))

    def assign(self, cluster: Any, members: Mapping[str, Any]) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Called at the group's leader only. `members` are `ConsumerProtocolMemberMetadata` by member id."""
        topics = max((sorted(m.subscription) for m in members.values()), key=lambda names: (len(names), names))
        claims = {
            member: _load(m.user_data) for member, m in members.items() if sorted(m.subscription) == topics
        }  # While inputs are being added, only the members that know all of them work.
        counts = {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in topics}
        units = units_of(self._scope, counts)
        shares = assign_units(sorted(units), claims)
        following = 1 + max(claim.round for claim in claims.values())
        return {
            member: _assignment(
                [tp for unit in shares.get(member, ()) for tp in units[unit]], following, shares.get(member, [])
            )
            for member in members
        }

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        self._mine = _load(assignment.user_data)


def _assignment(
    partitions: Sequence[TopicPartition], round_: int, units: Iterable[int]
) -> ConsumerProtocolMemberAssignment:
    by_topic: dict[str, list[int]] = {}
    for topic, partition in partitions:
        by_topic.setdefault(topic, []).append(partition)
    return ConsumerProtocolMemberAssignment(_VERSION, list(by_topic.items()), _dump(Claim(round_, frozenset(units))))


def _dump(claim: Claim) -> bytes:
    return json.dumps([claim.round, sorted(claim.units)]).encode()


def _load(data: bytes | None) -> Claim:
    try:
        round_, units = json.loads(data or b"")
        return Claim(int(round_), frozenset(int(unit) for unit in units))
    except (ValueError, TypeError):
        return Claim()  # A member that never had anything, or one that speaks otherwise: it has no claim.
