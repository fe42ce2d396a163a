"""What speaks against a model that was examined: each problem is one line with what was found and what is allowed."""

from __future__ import annotations

from math import inf, nan

import pytest

from streamml import Limits
from streamml.gates import problems_of

FINE = {
    "compared": 500.0,
    "different": 0.0,
    "without_answer": 0.0,
    "improper": 0.0,
    "latency_p50": 20.0,
    "latency_p99": 80.0,
    "size": 4_000.0,
}


def test_a_model_that_keeps_to_its_limits_may_serve() -> None:
    assert problems_of(FINE, Limits()) == []
    assert problems_of(FINE, Limits(latency=80.0, size=4_000)) == []
    assert problems_of({**FINE, "without_answer": 0.5}, Limits()) == []


@pytest.mark.parametrize(
    ("found", "limits", "line"),
    [
        ({"different": 3.0}, Limits(), "3 of 500 "),
        ({"compared": 0.0}, Limits(), "no prediction could be compared"),
        ({"without_answer": 0.51}, Limits(), "no answer for 51% of the rows; 50% at most"),
        ({"improper": 2.0}, Limits(), "2 of 500 answers have probabilities"),
        ({"latency_p99": 81.0}, Limits(latency=80.0), "takes 81 us (99th percentile); the limit is 80 us"),
        ({"size": 4_001.0}, Limits(size=4_000), "4001 bytes; the limit is 4000"),
    ],
)
def test_each_problem_is_one_line_with_both_numbers(found: dict[str, float], limits: Limits, line: str) -> None:
    [said] = problems_of({**FINE, **found}, limits)
    assert line in said
    assert "\n" not in said


def test_all_problems_are_told() -> None:
    bad = {**FINE, "different": 1.0, "latency_p99": 1e6, "size": 1e9}
    assert len(problems_of(bad, Limits(latency=1.0, size=1))) == 3


@pytest.mark.parametrize("name", ["compared", "different", "without_answer", "latency_p99", "size"])
@pytest.mark.parametrize("value", [None, nan, inf])
def test_what_is_not_said_is_not_taken_for_good(name: str, value: float | None) -> None:
    figures = {key: told for key, told in FINE.items() if key != name} | ({} if value is None else {name: value})
    [said] = problems_of(figures, Limits(latency=100.0, size=5_000))
    assert said.endswith(f"says nothing of {name}")
