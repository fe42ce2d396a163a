"""What the join still remembers, from its changelog. Law: read as a worker would restore it, record by record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chaos.join import Joined, Record

from streamml.agents.match.entry import CLOCK, PACK, decode, decode_pack


@dataclass(frozen=True)
class Remembered:
    """`pending`: of each id, whether its event has come and how many labels wait for it; `settled`: the others."""

    pending: dict[bytes, tuple[bool, int]]
    settled: set[bytes]


def remembered(changelog: Iterable[Record]) -> Remembered:
    """The state after one partition of the changelog."""
    entries: dict[bytes, bytes] = {}
    packs: dict[bytes, bytes] = {}
    for record in changelog:
        held = packs if record.key.startswith(PACK) else entries
        if record.value is None:
            held.pop(record.key, None)
        elif record.key != CLOCK:
            held[record.key] = record.value
    pending = {}
    for key, value in entries.items():
        entry = decode(value)
        pending[key] = (entry.features is not None, len(entry.waiting))
    return Remembered(pending, {id for pack in packs.values() for id in decode_pack(pack)})


def differences(joined: Joined, found: Remembered) -> dict[str, list[bytes]]:
    """The ids whose state is not the one recomputed, by what is wrong with it."""
    wrong: dict[str, list[bytes]] = {
        "missing": [key for key in joined.pending if key not in found.pending],
        "unexpected": [k for k in found.pending if k not in joined.pending and k not in joined.perhaps_pending],
        "other": [k for k, state in joined.pending.items() if found.pending.get(k, state) != state],
        "forgotten": [key for key in joined.settled if key not in found.settled],
    }
    return {what: sorted(keys) for what, keys in wrong.items() if keys}
