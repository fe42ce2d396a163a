"""A race from its first window to a decision, and the figures it tells."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import isfinite, log
from typing import Any

import numpy as np
import pytest

from streamml import Gate, Slice
from streamml.errors import SnapshotError
from streamml.gates import ConfidenceSequence, EProcess, Race, Results

SIZE = 100


def results(model: str, window: int, losses: Sequence[float | None], **more: Any) -> Results:
    metrics, slices = more.get("metrics", {}), more.get("slices", {})
    return Results(model, window, window * SIZE, len(losses), losses, metrics, slices)


def losses(rng: np.random.Generator, rate: float) -> list[float | None]:
    return [float(wrong) for wrong in rng.random(SIZE) < rate]


def run(race: Race, windows: int, champion: float, challenger: float, seed: int = 1) -> Race:
    rng = np.random.default_rng(seed)
    for _ in range(windows):
        at = race.next_window
        race.add(results("a", at, losses(rng, champion)), results("b", at, losses(rng, challenger)))
    return race


def test_a_clearly_better_challenger_wins_and_the_evidence_says_by_how_much() -> None:
    race = run(Race(Gate(), 0.75, first_window=7), 20, champion=0.3, challenger=0.2)
    assert race.decided
    found = race.evidence()
    assert (found["examples"], found["windows"]) == (2_000, 20)
    assert (found["first_position"], found["last_position"]) == (700, 2_699)
    assert found["share"] == 0.75
    assert found["threshold"] == pytest.approx(1 / (0.05 * 0.75))
    assert found["e_maximum"] >= found["threshold"]
    assert found["e_maximum"] >= found["e_value"] > 1
    assert found["mean_difference"] == pytest.approx(0.1, abs=0.03)
    assert found["mean_difference"] == pytest.approx(found["loss_champion"] - found["loss_challenger"])
    assert found["lower"] < found["mean_difference"] < found["upper"]
    assert race.harm() is None


def test_a_worse_challenger_does_not() -> None:
    race = run(Race(Gate(), 1.0, 0), 40, champion=0.2, challenger=0.3)
    assert not race.decided
    assert race.evidence()["e_value"] < 0.1
    assert race.evidence()["upper"] < 0


def test_it_is_not_decided_before_the_minimum() -> None:
    race = run(Race(Gate(minimum=2_000), 1.0, 0), 19, champion=0.9, challenger=0.1)
    assert race.evidence()["e_maximum"] > 1e9
    assert not race.decided
    assert run(race, 1, champion=0.9, challenger=0.1).decided


def test_what_was_once_reached_counts() -> None:
    race = run(Race(Gate(minimum=100), 1.0, 0), 5, champion=0.9, challenger=0.1)
    run(race, 40, champion=0.1, challenger=0.9)
    assert race.evidence()["e_value"] < 1 < race.evidence()["e_maximum"]
    assert race.decided


def test_a_smaller_share_needs_more() -> None:
    whole, part = Race(Gate(minimum=100), 1.0, 0), Race(Gate(minimum=100), 1e-9, 0)
    for race in (whole, part):
        run(race, 8, champion=0.3, challenger=0.2)
    assert whole.evidence()["e_maximum"] == part.evidence()["e_maximum"]
    assert (whole.decided, part.decided) == (True, False)


def test_the_challenger_must_be_better_by_the_effect() -> None:
    modest = run(Race(Gate(effect=0.08), 1.0, 0), 60, champion=0.3, challenger=0.25)
    assert not modest.decided
    assert run(Race(Gate(effect=0.01), 1.0, 0), 60, champion=0.3, challenger=0.25).decided


def test_absolute_errors_are_cut_at_the_bound_and_told_in_their_unit() -> None:
    gate = Gate(bound=50.0, effect=5.0, minimum=100)
    race = Race(gate, 1 / 4, 0)
    race.add(results("a", 0, [30.0] * 50 + [80.0] * 50), results("b", 0, [10.0] * 50 + [None] * 50))
    found = race.evidence()
    assert (found["loss_champion"], found["loss_challenger"]) == (40.0, 30.0)
    assert found["mean_difference"] == pytest.approx(10.0)
    assert -50 <= found["lower"] < 10 < found["upper"] <= 50
    expected, interval = EProcess(0.1), ConfidenceSequence(0.05 / 4)
    for each in (expected, interval):
        each.add([0.4] * 50 + [0.0] * 50)
    assert log(found["e_value"]) == pytest.approx(expected.log_value)
    assert (found["lower"] / 50, found["upper"] / 50) == pytest.approx(interval.bounds())


def test_missing_answers_count_against_the_challenger() -> None:
    race = Race(Gate(), 1.0, 0)
    race.add(results("a", 0, [1.0, 0.0] * 50), results("b", 0, [None] * 100))
    assert race.evidence()["mean_difference"] == -0.5


def test_areas_are_compared_one_a_window() -> None:
    gate = Gate(metric="roc_auc", effect=0.01, minimum=500, bound=4.0)
    race, expected, interval = Race(gate, 1.0, 0), EProcess(0.01), ConfidenceSequence(0.05)
    for window in range(120):
        ours, theirs = {"roc_auc": 0.8}, {"roc_auc": 0.9}
        race.add(results("a", window, [1.0] * SIZE, metrics=ours), results("b", window, [3.0] * SIZE, metrics=theirs))
        expected.add([0.9 - 0.8])
        interval.add([0.9 - 0.8])
        assert race.decided == (expected.log_maximum >= log(20))
    assert race.decided
    found = race.evidence()
    assert found["mean_difference"] == pytest.approx(0.1)
    assert (found["lower"], found["upper"]) == pytest.approx(interval.bounds())
    assert (found["loss_champion"], found["loss_challenger"]) == (1.0, 3.0)
    assert log(found["e_value"]) == pytest.approx(expected.log_value)


def test_a_slice_that_is_harmed_is_named_and_its_figures_are_evidence() -> None:
    race = Race(Gate(slices=(Slice("region", minimum=200),)), 1.0, 0)
    ours, theirs = {"region=north": {"count": 60, "loss": 0.1}}, {"region=north": {"count": 60, "loss": 0.5}}
    for window in range(4):
        race.add(results("a", window, [1.0] * SIZE, slices=ours), results("b", window, [0.0] * SIZE, slices=theirs))
    assert "region=north" in (race.harm() or "")
    found = race.evidence()
    assert found["slice.region=north.harm"] == pytest.approx(0.4)
    assert found["slice.region=north.count"] == 240


def test_all_evidence_is_finite() -> None:
    assert all(isfinite(value) for value in Race(Gate(), 1.0, 0).evidence().values())
    for champion, challenger in ((1.0, 0.0), (0.0, 1.0)):
        race = Race(Gate(), 1.0, 0)
        for window in range(40):
            race.add(results("a", window, [champion] * SIZE), results("b", window, [challenger] * SIZE))
        assert all(isfinite(value) for value in race.evidence().values())
        assert race.evidence()["e_maximum"] >= 1


@pytest.mark.parametrize(
    ("champion", "challenger", "message"),
    [
        ((3, 300, 100), (4, 400, 100), "window 3 of a, expected is 4"),
        ((4, 400, 100), (5, 500, 100), "window 5 of b, expected is 4"),
        ((4, 400, 100), (4, 401, 100), "window 4 of b holds 100 positions from 401, expected are 100 from 400"),
        ((4, 400, 100), (4, 400, 99), "window 4 of b holds 99 positions from 400, expected are 100 from 400"),
        ((4, 410, 100), (4, 410, 100), "window 4 of a holds 100 positions from 410, expected are 100 from 400"),
    ],
)
def test_windows_must_be_the_next_and_of_the_same_positions(
    champion: tuple[int, int, int], challenger: tuple[int, int, int], message: str
) -> None:
    race = run(Race(Gate(), 1.0, 3), 1, 0.2, 0.2)
    before = race.state()

    def window(model: str, number: int, first: int, count: int) -> Results:
        return Results(model, number, first, count, [0.0] * count, {}, {})

    with pytest.raises(ValueError, match=message):
        race.add(window("a", *champion), window("b", *challenger))
    assert race.state() == before


def test_a_window_has_a_loss_for_each_position() -> None:
    with pytest.raises(ValueError, match="window 0 of b has 1 losses for 2 positions"):
        Race(Gate(), 1.0, 0).add(Results("a", 0, 0, 2, [0.0, 0.0], {}, {}), Results("b", 0, 0, 2, [0.0], {}, {}))


@pytest.mark.parametrize("part", [0.0, -0.1, 1.1])
def test_a_share_is_a_part_of_alpha(part: float) -> None:
    with pytest.raises(ValueError, match="a share is"):
        Race(Gate(), part, 0)


@pytest.mark.parametrize("gate", [Gate(), Gate(bound=0.5, effect=0.01, slices=(Slice("region", minimum=200),))])
def test_a_restart_does_not_show(gate: Gate) -> None:
    whole, parts = Race(gate, 0.25, 5), Race(gate, 0.25, 5)
    for number in range(12):
        run(whole, 1, 0.3, 0.25, seed=number)
        run(parts, 1, 0.3, 0.25, seed=number)
        restarted = Race(gate, 1.0, 0)
        restarted.restore(json.loads(json.dumps(parts.state())))
        parts = restarted
    assert parts.state() == whole.state()
    assert parts.evidence() == whole.evidence()
    assert (parts.decided, parts.next_window, parts.share) == (whole.decided, 17, 0.25)


def test_a_decision_can_be_made_again_from_the_records_and_its_evidence() -> None:
    """As docs/gates.md says."""
    rng, gate, records = np.random.default_rng(4), Gate(minimum=500), []
    race = Race(gate, 0.125, 3)
    while not race.decided:
        at = race.next_window
        records.append((results("a", at, losses(rng, 0.3)), results("b", at, losses(rng, 0.2))))
        race.add(*records[-1])
    found = race.evidence()
    again = Race(gate, found["share"], records[0][0].window)
    for champion, challenger in records:
        assert not again.decided
        again.add(champion, challenger)
    assert again.decided
    assert again.evidence() == found
    assert found["first_position"] == records[0][0].first_position


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (Gate(effect=0.01), "effect 0.0, declared is 0.01"),
        (Gate(bound=2.0), "bound None, declared is 2.0"),
        (Gate(metric="roc_auc"), "metric loss, declared is roc_auc"),
    ],
)
def test_a_race_for_other_terms_begins_anew(now: Gate, said: str) -> None:
    state = run(Race(Gate(), 1.0, 0), 1, 0.2, 0.2).state()
    with pytest.raises(SnapshotError, match=f"the race was run for {said}; begin it anew"):
        Race(now, 1.0, 0).restore(state)


def test_alpha_and_minimum_may_change_during_a_race() -> None:
    state = run(Race(Gate(), 1.0, 0), 15, 0.4, 0.2).state()
    race = Race(Gate(alpha=0.01, minimum=500), 1.0, 0)
    assert not race.decided
    race.restore(state)
    assert race.decided


def test_its_state_does_not_grow() -> None:
    race = run(Race(Gate(), 1.0, 0), 10, 0.3, 0.3)
    early = len(json.dumps(race.state()))
    assert len(json.dumps(run(race, 300, 0.3, 0.3).state())) < early + 50
