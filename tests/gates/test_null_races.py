"""The promise of the gate, kept: equal models are seldom promoted however often one looks, better ones soon."""

from __future__ import annotations

from statistics import median

import numpy as np
import pytest

from streamml import Gate
from streamml.gates import Race, Results, share

SIZE = 250
GATE = Gate(alpha=0.1, minimum=500)


def examples_until_decided(rng: np.random.Generator, won: float, lost: float, windows: int, part: float) -> int | None:
    """How many examples a race takes, in which the challenger alone is right on a share `won` of them and the champion
    alone on a share `lost`; None if it is not decided within `windows`."""
    race = Race(GATE, part, 0)
    for window in range(windows):
        draws = rng.random(SIZE)
        champion, challenger = draws < won, (draws >= won) & (draws < won + lost)
        race.add(
            *(
                Results(m, window, window * SIZE, SIZE, each.astype(float).tolist(), {}, {})
                for m, each in (("a", champion), ("b", challenger))
            )
        )
        if race.decided:
            return race.examples
    return None


@pytest.mark.parametrize("disagreement", [0.1, 0.9])
def test_equal_models_are_promoted_with_a_chance_of_less_than_alpha(disagreement: float) -> None:
    rng = np.random.default_rng(5)
    half = disagreement / 2
    promoted = sum(examples_until_decided(rng, half, half, 24, 1.0) is not None for _ in range(250))
    assert 0 < promoted <= 0.1 * 250


def test_the_chance_is_that_of_a_whole_reign() -> None:
    rng = np.random.default_rng(6)
    parts = [share(3)] * 3 + [share(3, 1)]
    false = sum(any(examples_until_decided(rng, 0.1, 0.1, 12, part) is not None for part in parts) for _ in range(100))
    assert false <= 0.1 * 100


def test_better_models_are_promoted_the_sooner_the_better() -> None:
    rng = np.random.default_rng(7)
    taken = []
    for improvement in (0.02, 0.04, 0.08):
        half = improvement / 2
        found = [examples_until_decided(rng, 0.05 + half, 0.05 - half, 40, 1.0) for _ in range(40)]
        assert None not in found[1:]
        taken.append(median(each or 10_000 for each in found))
    assert taken[0] > taken[1] >= taken[2] == GATE.minimum
    assert taken[0] < 4_000
