"""Thinned snapshots still bound what a rebuild replays."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamml.agents.thinning import superfluous


@given(st.integers(1, 50), st.integers(1, 400))
def test_a_rebuild_replays_at_most_half_of_the_distance_to_the_head(every: int, count: int) -> None:
    kept: list[int] = []
    for number in range(1, count + 1):
        kept.append(number * every)
        gone = set(superfluous(kept))
        assert kept[-1] not in gone
        kept = [p for p in kept if p not in gone]
    head, before = kept[-1], 0
    for after in kept:
        # The worst position is the one right before the next snapshot.
        worst = after - 1
        assert worst - before <= max(every, (head - worst) / 2)
        before = after


def test_the_number_kept_grows_with_the_logarithm() -> None:
    kept: list[int] = []
    for position in range(100, 1_000_001, 100):
        kept.append(position)
        gone = set(superfluous(kept))
        kept = [p for p in kept if p not in gone]
    assert len(kept) < 40
