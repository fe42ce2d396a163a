"""How long steps take, learned from those before. Law: the event loop is not held for longer than others can bear."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

INLINE_S = 0.010
LONGEST_S = 0.200
_FIRST = 16
_WORTH = 64
_FADE = 0.8


@dataclass
class Pace:
    """Predicts a step's time from a fading mean per record: a long step goes to a thread, a longer one is cut.

    Before the first step nothing is known: it gets few records and a thread.
    """

    most: int
    _records: float = 0.0
    _seconds: float = 0.0

    def limit(self) -> int:
        """How many records the next step may take: what fits on the event loop or, if that is few, in a thread."""
        if not self._records:
            return min(_FIRST, self.most)
        per_record = max(self._seconds / self._records, 1e-9)
        inline = int(INLINE_S / per_record)
        return max(1, min(self.most, inline if inline >= _WORTH else int(LONGEST_S / per_record)))

    def needs_thread(self, records: int) -> bool:
        return not self._records or records * self._seconds / self._records > INLINE_S

    def took(self, records: int, seconds: float) -> None:
        self._records = self._records * _FADE + records
        self._seconds = self._seconds * _FADE + seconds


@dataclass
class Spells:
    """Predicts calls that are mostly quick and sometimes slow, as checkpoints are: by the slowest, slowly forgotten."""

    _slowest: float = INLINE_S * 2

    def needs_thread(self) -> bool:
        return self._slowest > INLINE_S

    def took(self, seconds: float) -> None:
        self._slowest = max(seconds, self._slowest * 0.99)


@dataclass
class Gathering:
    """Decides whether the broker should hold fetches so that records gather into fewer transactions.

    Holding pays once more than one record comes in `hold_ms`; below that a record is answered at once, and an idle
    plane asks the broker twice a second. When transactions take long the hold grows with them, up to
    `LONGEST_HOLD_MS`: on a busy broker more of them would only queue. Rates fade over about 0.2 s.
    """

    hold_ms: int
    idle_wait_ms: int
    _rate: float = 0.0
    _at: float = 0.0
    _transaction_ms: float = 0.0

    FULL: ClassVar[int] = 1 << 18
    LONGEST_HOLD_MS: ClassVar[int] = 200
    _MEMORY_S: ClassVar[float] = 0.2

    def committed(self, seconds: float) -> None:
        """Take in how long a transaction took."""
        self._transaction_ms += 0.1 * (seconds * 1_000 - self._transaction_ms)

    def saw(self, records: int, now: float) -> tuple[int, int]:
        """Take in that `records` came at `now` (monotonic s); returns min_bytes and max_wait_ms of coming fetches."""
        fade = math.exp((self._at - now) / self._MEMORY_S)
        self._rate = self._rate * fade + records / self._MEMORY_S
        self._at = now
        hold = max(self.hold_ms, min(self.LONGEST_HOLD_MS, int(2 * self._transaction_ms)))
        if self.hold_ms > 0 and self._rate * hold > 1_000:
            return self.FULL, hold
        return 1, self.idle_wait_ms
