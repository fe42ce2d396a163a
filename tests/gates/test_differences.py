"""From the results of two models to numbers in [-1, 1]."""

from __future__ import annotations

import pytest

from streamml.gates import Results
from streamml.gates.differences import areas, cut


def results(*losses: float | None, **metrics: float) -> Results:
    return Results("lr", 0, 0, len(losses), losses, metrics, {})


def test_losses_are_cut_and_scaled() -> None:
    assert cut(results(0.0, 1.0, 4.0, 9.0), 4.0).tolist() == [0.0, 0.25, 1.0, 1.0]


def test_no_answer_is_the_greatest_loss() -> None:
    assert cut(results(None, 0.5, float("nan"), float("inf")), 2.0).tolist() == [1.0, 0.25, 1.0, 1.0]
    assert cut(results(None), 1.0).tolist() == [1.0]


@pytest.mark.parametrize(
    ("champion", "challenger", "expected"), [(0.7, 0.8, 0.1), (None, 0.8, 0.3), (0.7, None, -0.2), (None, None, 0.0)]
)
def test_an_area_that_is_missing_is_that_of_chance(
    champion: float | None, challenger: float | None, expected: float
) -> None:
    ours = results() if champion is None else results(roc_auc=champion)
    theirs = results() if challenger is None else results(roc_auc=challenger)
    assert areas(ours, theirs).tolist() == pytest.approx([expected])
