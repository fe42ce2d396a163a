"""A worker that the harness can trouble from inside: `python -m chaos.worker MUTANT ARGUMENTS-OF-STREAMML…`.

It patches streamml's edges and then is the command line itself. The signal RAISE has the next step of `score` raise;
each JUMP turns its clock to another time, within two hours of the right one. MUTANT names a planted defect, or is `-`.
"""

from __future__ import annotations

import signal
import sys
import time
from itertools import cycle
from typing import Any

from chaos.mutants import MUTANTS, replace

from streamml.agents.score import Score
from streamml.runtime import planes

# Real-time signals, since Faust takes SIGUSR1 and SIGUSR2 for itself.
RAISE, JUMP = signal.SIGRTMIN, signal.SIGRTMIN + 1

JUMPS_S = (-3_600, 1_800, 7_200, 0, -60, 600)
"""What the clock is off by after each jump."""


class Clock:
    """A wall clock that somebody turns."""

    def __init__(self) -> None:
        self._offsets = cycle(JUMPS_S)
        self._offset = 0

    def __call__(self) -> float:
        return time.time() + self._offset

    def jump(self, *_: object) -> None:
        self._offset = next(self._offsets)


class Trouble:
    """Has one step raise when it is told to."""

    def __init__(self) -> None:
        self._armed = False

    def arm(self, *_: object) -> None:
        self._armed = True

    def plant(self) -> None:
        step = Score.step

        def raising(agent: Score, batch: Any, now: int) -> Any:
            if self._armed and batch:
                self._armed = False
                raise RuntimeError("chaos: this step raises")
            return step(agent, batch, now)

        replace(Score, "step", raising)


def main() -> None:
    """Patch, and be the command line."""
    _, mutant, *arguments = sys.argv
    trouble, clock = Trouble(), Clock()
    trouble.plant()
    replace(planes, "time", clock)
    signal.signal(RAISE, trouble.arm)
    signal.signal(JUMP, clock.jump)
    if mutant != "-":
        MUTANTS[mutant].plant()
    sys.argv = ["streamml", *arguments]
    from streamml.cli import main as streamml

    streamml()


if __name__ == "__main__":
    main()
