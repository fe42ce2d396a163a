"""Did all that went in come out, once, and in order? Law: decided from two sets of sequences, whatever they are.

A lane leads from one input partition to one output partition. Within a lane order must be kept; a record that occurs
twice must come out twice, its first occurrence first.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

Codes: TypeAlias = "Sequence[int] | array[int]"
_OCCURRENCES = 16


@dataclass
class Lanes:
    """What was found; codes in ascending order, one for each record that is too few or too many."""

    count: int = 0
    lost: list[int] = field(default_factory=list)
    doubled: list[int] = field(default_factory=list)
    disordered: list[int] = field(default_factory=list)
    altered: list[int] = field(default_factory=list)

    def failures(self, what: str) -> list[str]:
        """One line for each kind of failure."""
        kinds = ("lost", "doubled", "disordered", "altered")
        return [f"{what}: {len(codes)} {kind}" for kind in kinds if (codes := getattr(self, kind))]

    @property
    def offenders(self) -> list[int]:
        return [*self.lost, *self.doubled, *self.disordered, *self.altered]


def compare(
    given: Mapping[int, Codes],
    found: Mapping[int, Codes],
    contents: tuple[Mapping[int, Codes], Mapping[int, Codes]] | None = None,
) -> Lanes:
    """`given` and `found` have the codes of each partition in order; `contents` beside them what must be equal too."""
    inside, outside = _Table(given), _Table(found)
    lost = np.setdiff1d(inside.keys, outside.keys, assume_unique=True)
    doubled = np.setdiff1d(outside.keys, inside.keys, assume_unique=True)
    at = np.searchsorted(inside.sorted, outside.keys)
    at[at == len(inside.sorted)] = 0
    known = inside.sorted[at] == outside.keys if len(inside.sorted) else np.zeros(len(outside.keys), dtype=bool)
    places = inside.order[at[known]] if len(inside.sorted) else np.zeros(0, dtype=np.int64)
    rows = np.flatnonzero(known)
    verdict = Lanes(
        len(inside.keys),
        (np.sort(lost) // _OCCURRENCES).tolist(),
        (np.sort(doubled) // _OCCURRENCES).tolist(),
        _disordered(inside, outside, places, rows),
    )
    if contents is not None:
        before, after = (np.concatenate([_array(side[n]) for n in sorted(side)] or [_array(())]) for side in contents)
        differ = before[places] != after[rows]
        verdict.altered = np.sort(outside.codes[rows[differ]]).tolist()
    return verdict


def _disordered(inside: _Table, outside: _Table, places: np.ndarray, rows: np.ndarray) -> list[int]:
    """The codes that stand behind one that should have come later."""
    late: list[int] = []
    lanes = inside.partition[places] * (1 << 20) + outside.partition[rows]
    for lane in np.unique(lanes):
        mine = lanes == lane
        ranks = places[mine]
        behind = ranks < np.maximum.accumulate(ranks)
        late += outside.codes[rows[mine][behind]].tolist()
    return sorted(late)


class _Table:
    """Records one after the other, partition by partition; `keys` tell the occurrences of a code apart."""

    def __init__(self, sequences: Mapping[int, Codes]) -> None:
        parts = [_array(sequences[n]) for n in sorted(sequences)] or [_array(())]
        self.codes = np.concatenate(parts)
        self.partition = np.repeat(np.array(sorted(sequences) or [0], dtype=np.int64), [len(p) for p in parts])
        order = np.argsort(self.codes, kind="stable")
        ordered = self.codes[order]
        starts = np.searchsorted(ordered, ordered)
        occurrence = np.empty(len(order), dtype=np.int64)
        occurrence[order] = np.arange(len(order)) - starts
        self.keys = self.codes * _OCCURRENCES + np.minimum(occurrence, _OCCURRENCES - 1)
        # More than fifteen doubles of one record are no longer told apart: as many are missing from the count.
        self.order = np.argsort(self.keys, kind="stable")
        self.sorted = self.keys[self.order]


def _array(codes: Codes) -> np.ndarray:
    return np.frombuffer(codes, dtype=np.int64) if isinstance(codes, array) else np.array(codes, dtype=np.int64)
