"""Betting on a mean: exact values, the law of the wealth under H0, and that cuts and restarts do not show."""

from __future__ import annotations

import itertools
import json
from math import exp, log, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamml.gates import EProcess

STAKES = [0.9 * 0.5**j for j in range(10)]


def wealth(*differences: float, m: float = 0.0) -> EProcess:
    process = EProcess(m)
    process.add(differences)
    return process


@pytest.mark.parametrize(("d", "m"), [(1.0, 0.0), (0.5, 0.1), (-1.0, 0.0), (0.0, 0.2), (0.3, -0.5)])
def test_equal_differences_have_a_closed_form(d: float, m: float) -> None:
    process = wealth(*[d] * 300, m=m)
    expected = sum((1 + stake / (1 + m) * (d - m)) ** 300 for stake in STAKES) / 10
    assert process.log_value == pytest.approx(log(expected), abs=1e-9)
    assert process.log_maximum == pytest.approx(max(log(expected), 0.0), abs=1e-9)


@pytest.mark.parametrize(
    ("m", "value", "maximum"),
    [(0.0, 417.565050623455, 535.1144108859818), (0.1, 4.778582738482728, 6.1029779784283855)],
)
def test_the_wealth_is_that_of_confseq(m: float, value: float, maximum: float) -> None:
    """The mean of `confseq.betting.betting_mart` (0.0.11) over the ten stakes, on the unit interval."""
    process = wealth(*[((7 * i * i) % 11 - 4) / 8 for i in range(60)], m=m)
    assert exp(process.log_value) == pytest.approx(value, rel=1e-12)
    assert exp(process.log_maximum) == pytest.approx(maximum, rel=1e-12)


def test_in_a_fair_game_nothing_is_won_on_average() -> None:
    """Over all 1,024 ways that ten fair coins can fall: the expectation is exactly 1."""
    ends = [exp(wealth(*coins).log_value) for coins in itertools.product((-1.0, 1.0), repeat=10)]
    assert sum(ends) / len(ends) == pytest.approx(1.0, abs=1e-12)


def test_below_the_bound_it_is_lost_on_average() -> None:
    ends = [exp(wealth(*coins, m=0.1).log_value) for coins in itertools.product((-1.0, 1.0), repeat=8)]
    assert sum(ends) / len(ends) < 0.9


def test_a_fair_game_seldom_reaches_what_villes_inequality_allows_it() -> None:
    rng = np.random.default_rng(11)
    maxima = [wealth(*rng.choice((-1.0, 1.0), 1_000)).log_maximum for _ in range(2_000)]
    for alpha in (0.2, 0.1, 0.05):
        reached = sum(maximum >= log(1 / alpha) for maximum in maxima) / len(maxima)
        assert alpha / 5 < reached <= alpha


def test_a_past_that_steers_the_stakes_of_the_game_does_not_help() -> None:
    """The mean of each difference is 0 given those before it, but how far it swings follows from them."""
    rng = np.random.default_rng(12)
    reached = 0
    for _ in range(400):
        process, lost = EProcess(), 0.0
        for _ in range(60):
            swing = 1.0 if lost > 0 else 0.1
            differences = rng.choice((-swing, swing), 10)
            lost -= float(differences.sum())
            process.add(differences)
        reached += process.log_maximum >= log(20)
    assert reached / 400 <= 0.05


def test_a_mean_above_the_bound_is_found() -> None:
    rng = np.random.default_rng(13)
    process = wealth(*rng.choice((-1.0, 0.0, 1.0), 10_000, p=(0.04, 0.9, 0.06)))
    assert process.log_maximum > log(20)


def test_the_maximum_is_of_every_difference_and_stays() -> None:
    process = wealth(*[1.0] * 20, *[-1.0] * 200)
    assert process.log_maximum == wealth(*[1.0] * 20).log_value
    assert process.log_value < 0


def test_a_long_winning_streak_stays_finite() -> None:
    process = wealth(*np.ones(100_000))
    assert process.log_value == pytest.approx(100_000 * log(1.9) - log(10))
    assert process.log_value == process.log_maximum
    assert wealth(*-np.ones(100_000)).log_value == pytest.approx(100_000 * log(1 - 0.9 / 512) - log(10))


@given(
    st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]) | st.floats(-1, 1), max_size=60),
    st.integers(0, 60),
    st.sampled_from([0.0, 0.25]),
)
def test_neither_cuts_nor_restarts_show(differences: list[float], cut: int, m: float) -> None:
    first = wealth(*differences[:cut], m=m)
    second = EProcess(m)
    second.restore(json.loads(json.dumps(first.state())))
    second.add(differences[cut:])
    assert second.state() == wealth(*differences, m=m).state()


@pytest.mark.parametrize("wrong", [1.5, -1.01, nan])
def test_what_is_out_of_range_is_refused_whole(wrong: float) -> None:
    process = EProcess()
    with pytest.raises(ValueError, match=rf"a difference is {wrong}, expected numbers in \[-1, 1\]"):
        process.add([1.0, wrong])
    assert process.log_value == 0.0


@pytest.mark.parametrize("m", [1.0, -1.0, nan])
def test_a_bound_that_says_nothing_is_refused(m: float) -> None:
    with pytest.raises(ValueError, match="expected a number between -1 and 1"):
        EProcess(m)
