"""A declared model, and its forks that pass over ranges of the log. Law: the name, the excluded positions and the
examples say all about a state; lineages that agree up to a position have the same state there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from streamml.models.build import digest_of
from streamml.models.fold import Fold
from streamml.topology import Model, Target

Ranges = tuple[tuple[int, int], ...]
"""Half-open ranges of positions, ascending, none touching another."""

MARK = "~"
"""Between the name of a declared model, which cannot hold it, and the number of its fork."""


@dataclass(frozen=True)
class Lineage:
    """The fold of one declared model over all examples but those at the positions `excluded`.

    The digest of the root, which excludes nothing, is that of the model's specification; any other covers the ranges
    too.
    """

    name: str
    model: Model
    excluded: Ranges
    digest: str

    @classmethod
    def of(cls, model: Model, target: Target, excluded: Iterable[tuple[int, int]] = (), name: str = "") -> Lineage:
        """The lineage of `model` without the positions of these ranges, under its name or another one.

        Raises:
            DeclarationError: see `build`.
        """
        ranges = united(excluded)
        digest = digest_of(model, target)
        if ranges:
            text = json.dumps([digest, ranges], separators=(",", ":"))
            digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return cls(name or model.name, model, ranges, digest)

    def skips(self, position: int) -> bool:
        """Whether the example at `position` is no part of this fold."""
        return any(low <= position < high for low, high in self.excluded)

    def skipped(self, start: int, end: int) -> frozenset[int]:
        """The excluded positions from `start` up to `end`."""
        return frozenset(chain.from_iterable(range(*part) for part in _cut(self.excluded, start, end)))

    @property
    def blank(self) -> int:
        """The position up to which it has learned nothing, whatever the log holds."""
        return self.excluded[0][1] if self.excluded and self.excluded[0][0] == 0 else 0

    def agrees(self, other: Lineage, position: int) -> bool:
        """Whether both have the same state at `position`: a snapshot of one is a snapshot of the other there."""
        same = self.model.name == other.model.name
        return same and _cut(self.excluded, 0, position) == _cut(other.excluded, 0, position)

    def new(self, target: Target) -> Fold:
        """The fold of no examples."""
        return self._named(Fold.new(self.model, target))

    def loads(self, target: Target, payload: bytes, position: int) -> Fold:
        """The fold at `position`, from a verified payload of a lineage that agrees with this one there.

        Raises:
            SnapshotError: see `Fold.loads`.
        """
        return self._named(Fold.loads(self.model, target, payload, position))

    def _named(self, fold: Fold) -> Fold:
        fold.name, fold.digest = self.name, self.digest
        return fold


def united(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """The same positions in ascending ranges that do not touch."""
    out: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if out and low <= out[-1][1]:
            out[-1] = out[-1][0], max(high, out[-1][1])
        elif low < high:
            out.append((low, high))
    return tuple(out)


def _cut(ranges: Ranges, start: int, end: int) -> Ranges:
    return tuple((max(low, start), min(high, end)) for low, high in ranges if low < end and high > start)
