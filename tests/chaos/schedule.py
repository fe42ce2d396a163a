"""Which fault comes when. Law: the same seed gives the same schedule, whatever happens meanwhile.

A fault names no process: `dice` chooses its victim among those that it can strike when it comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

KINDS = ("kill", "term", "stop", "rebalance", "broker", "cut", "delay", "raise", "clock")

_WEIGHTS = {"kill": 6, "term": 4, "stop": 4, "rebalance": 3, "broker": 2, "cut": 3, "delay": 3, "raise": 2, "clock": 2}
_LASTS = {
    "kill": (0.0, 2.0),
    "term": (0.0, 2.0),
    "stop": (2.0, 40.0),
    "rebalance": (3.0, 12.0),
    "broker": (0.0, 10.0),
    "cut": (1.0, 20.0),
    "delay": (5.0, 20.0),
    "raise": (0.0, 1.0),
    "clock": (0.0, 0.0),
}
"""How long it lasts, in s: the pause before a restart, or the time until it is undone."""


@dataclass(frozen=True)
class Fault:
    """One fault: `at` seconds after the first, for `lasts` seconds; `dice` is in [0, 1)."""

    at: float
    kind: str
    lasts: float
    dice: float

    def __str__(self) -> str:
        return f"{self.kind} at {self.at:.1f} s for {self.lasts:.1f} s"


def schedule(seed: int, seconds: float, kinds: Sequence[str], gap: float, least: float = 0.0) -> list[Fault]:
    """The faults of `seconds` seconds, one each `gap` seconds on average; each chosen kind comes in turn at first.

    Each lasts `least` seconds or more, if its kind can. A fault that lasts is over before the end. A broker that is
    gone is not struck by another fault of its kind.
    """
    dice, chosen = Random(f"faults {seed}"), [kind for kind in KINDS if kind in kinds]
    faults: list[Fault] = []
    if not chosen:
        return faults
    opening = dice.sample(chosen, len(chosen))
    at, broker_back = dice.uniform(0.2, 1.0) * gap, 0.0
    while at < seconds:
        kind = opening.pop() if opening else dice.choices(chosen, [_WEIGHTS[k] for k in chosen])[0]
        shortest, longest = _LASTS[kind]
        # Most are short: a long one takes the place of many.
        shortest = max(shortest, min(least, longest))
        if at + shortest > seconds:
            break
        lasts = min(shortest + (longest - shortest) * dice.random() ** 2, seconds - at)
        share = dice.random()
        if kind != "broker" or at >= broker_back:
            faults.append(Fault(round(at, 3), kind, round(lasts, 3), share))
            if kind == "broker":
                broker_back = at + lasts + 15.0
        at += max(0.3, dice.expovariate(1 / gap))
    return faults
