"""Which snapshots to keep. Law: rebuilding position q from the last kept one before it replays at most half of q's
distance to the head, or one snapshot interval where that is longer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def superfluous(positions: Sequence[int]) -> list[int]:
    """The positions (given in ascending order) whose snapshots may go: both neighbours stay, and lie close for their
    age."""
    if len(positions) < 3:
        return []
    head = positions[-1]
    gone: list[int] = []
    before = 0
    for position, after in pairwise(positions):
        if after != head and after - before <= (head - after) // 2:
            gone.append(position)
        else:
            before = position
    return gone
