"""Time that stands still until it is moved."""

from __future__ import annotations

from datetime import timedelta


class ManualClock:
    """A clock in milliseconds since the epoch; call it to read it."""

    def __init__(self, now: int = 1_700_000_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def advance(self, by: timedelta | int) -> None:
        """Move the time forward, by a timedelta or by milliseconds."""
        self.now += by if isinstance(by, int) else int(by.total_seconds() * 1000)
