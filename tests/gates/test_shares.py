"""One alpha for all challengers of a reign."""

from __future__ import annotations

from fractions import Fraction

import pytest

from streamml.gates import share


@pytest.mark.parametrize("present", [0, 1, 2, 3, 7, 100])
@pytest.mark.parametrize("late", [0, 1, 2, 60])
def test_the_shares_never_add_up_to_more_than_one(present: int, late: int) -> None:
    given = [share(present) for _ in range(present)] + [share(present, k) for k in range(1, late + 1)]
    assert all(part > 0 for part in given)
    assert sum(map(Fraction, given)) <= 1 + present * Fraction(1, 2**56)  # a float may round up by its last bit


def test_those_at_the_start_share_three_quarters() -> None:
    assert share(1) == 0.75
    assert share(3) == 0.25


def test_each_later_one_gets_half_of_what_the_one_before_got() -> None:
    assert [share(2, k) for k in (1, 2, 3)] == [0.125, 0.0625, 0.03125]


def test_where_none_was_there_at_the_start_all_is_for_later_ones() -> None:
    assert [share(0, k) for k in (1, 2)] == [0.5, 0.25]


@pytest.mark.parametrize(("present", "late"), [(0, 0), (-1, 1), (1, -1)])
def test_nobody_has_no_share(present: int, late: int) -> None:
    with pytest.raises(ValueError, match="no challenger"):
        share(present, late)
