"""The veto of a slice that a promotion would harm."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from streamml import Slice
from streamml.gates import Results
from streamml.gates.slices import SliceLosses


def results(**slices: tuple[int, float]) -> Results:
    named = {name.replace("_", "="): {"count": float(n), "loss": loss} for name, (n, loss) in slices.items()}
    return Results("lr", 0, 0, 1_000, [], {}, named)


def after(
    *windows: tuple[Results, Results], declared: tuple[Slice, ...] = (Slice("region", minimum=200),)
) -> SliceLosses:
    losses = SliceLosses(declared)
    for champion, challenger in windows:
        losses.add(champion, challenger)
    return losses


def test_the_slice_that_is_harmed_most_is_named() -> None:
    losses = after(
        (
            results(region_north=(400, 0.1), region_south=(300, 0.1)),
            results(region_north=(400, 0.05), region_south=(300, 0.125)),
        ),
        (
            results(region_south=(100, 0.1), region_east=(200, 0.0)),
            results(region_south=(100, 0.2), region_east=(200, 0.03)),
        ),
    )
    assert losses.harm() == (
        "region=south: the challenger's mean loss is 0.1437, the champion's 0.1: a rise of 0.04375 over 400 examples, "
        "allowed is 0.02"
    )


def test_a_rise_that_is_allowed_is_no_harm() -> None:
    assert after((results(region_south=(300, 0.1)), results(region_south=(300, 0.11)))).harm() is None
    just = (Slice("region", harm=0.25, minimum=200),)
    assert after((results(region_south=(300, 0.25)), results(region_south=(300, 0.5))), declared=just).harm() is None
    strict = (Slice("region", harm=0.005, minimum=200),)
    assert after((results(region_south=(300, 0.1)), results(region_south=(300, 0.11))), declared=strict).harm()


def test_a_slice_counts_from_its_minimum_on() -> None:
    window = results(region_south=(100, 0.1)), results(region_south=(100, 0.9))
    assert after(window).harm() is None
    assert after(window, window).harm()


def test_only_declared_fields_are_watched() -> None:
    losses = after((results(country_no=(900, 0.1)), results(country_no=(900, 0.9))))
    assert losses.harm() is None
    assert losses.state() == {}


def test_a_value_may_hold_the_sign() -> None:
    name = {"region=a=b": {"count": 900.0, "loss": 0.1}}
    worse = {"region=a=b": {"count": 900.0, "loss": 0.9}}
    losses = after((replace(results(), slices=name), replace(results(), slices=worse)))
    assert (losses.harm() or "").startswith("region=a=b: ")


def test_the_evidence_has_all_slices() -> None:
    losses = after((results(region_a=(10, 0.5), region_b=(0, 0.0)), results(region_a=(10, 0.25), region_b=(0, 0.0))))
    assert losses.evidence() == {"slice.region=a.harm": -0.25, "slice.region=a.count": 10.0}


def test_a_restart_does_not_show() -> None:
    window = results(region_south=(150, 0.1)), results(region_south=(150, 0.9))
    losses = SliceLosses((Slice("region", minimum=200),))
    losses.restore(json.loads(json.dumps(after(window).state())))
    losses.add(*window)
    assert losses.state() == after(window, window).state()
    assert losses.harm() == after(window, window).harm()


def test_a_field_that_is_declared_no_more_is_forgotten() -> None:
    losses = SliceLosses((Slice("other", minimum=200),))
    losses.restore(after((results(region_a=(10, 0.5)), results(region_a=(10, 0.25)))).state())
    assert losses.evidence() == {}


def test_each_field_has_its_own_measure() -> None:
    declared = (Slice("region", harm=0.5, minimum=200), Slice("age", harm=0.01, minimum=200))
    champion, challenger = (
        results(region_a=(900, 0.1), age_b=(900, 0.1)),
        results(region_a=(900, 0.5), age_b=(900, 0.2)),
    )
    assert (after((champion, challenger), declared=declared).harm() or "").startswith("age=b: ")


@pytest.mark.parametrize("harm", [0.0, -0.05])
def test_a_slice_may_have_to_gain(harm: float) -> None:
    losses = after(
        (results(region_a=(900, 0.10)), results(region_a=(900, 0.09))), declared=(Slice("region", harm, minimum=200),)
    )
    assert (losses.harm() is None) == (harm == 0.0)
