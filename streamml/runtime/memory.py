"""A worker's memory under steady load. Law: what is garbage is given back within seconds, and nobody pays for it a
record.

What flows through a worker is made of plain values that die by themselves, so Python's collector is told to look for
cycles seldom: a full collection would walk over every event that waits for its label. But its triggers count objects,
and a cycle of few objects may hold a buffer of megabytes: so the young objects are looked at by the clock too. And what
is freed goes back to the system: glibc keeps it as long as anything in use lies above it.
"""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable

TIDY_EVERY_S = 5.0

_IN_FLIGHT = 500_000
"""More objects than the transactions of all tasks hold at once: else a backlog is looked at over and over. With 100,000
that took 4 % of a worker's time."""


def calm_collector() -> None:
    """What has been imported and built so far stays, and is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_IN_FLIGHT, 50, 100)


class Tidy:
    """Called often, it tidies up every `TIDY_EVERY_S` by `clock` (monotonic seconds)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = clock() + TIDY_EVERY_S
        self._trim = _trimmer()

    def __call__(self) -> None:
        now = self._clock()
        if now >= self._next:
            self._next = now + TIDY_EVERY_S
            gc.collect(0)
            self._trim()


def _trimmer() -> Callable[[], object]:
    """glibc's `malloc_trim`; nothing where the C library has no such thing."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return lambda: None
    return lambda: trim(0)
