"""Garbage in cycles is found by the clock, since so few objects never reach the collector's own triggers."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from streamml.runtime.memory import TIDY_EVERY_S, Tidy, calm_collector


class Buffer:
    """Holds itself, as a socket's transport holds its callbacks."""

    def __init__(self) -> None:
        self.own = self
        self.data = bytearray(1 << 20)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_a_cycle_is_collected_within_the_time_and_not_before() -> None:
    calm_collector()
    now = 100.0
    tidy = Tidy(lambda: now)
    gone = weakref.ref(Buffer())
    tidy()
    now += TIDY_EVERY_S - 0.1
    tidy()
    assert gone() is not None
    now += 0.2
    tidy()
    assert gone() is None
    again = weakref.ref(Buffer())
    tidy()
    assert again() is not None
