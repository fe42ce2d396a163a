"""How often the gate promotes a challenger that is no better, and how soon one that is.

    python benchmarks/null_races.py [--races N] [--examples N] [--alpha A] [--seed S]

Null races: two models of equal skill, looked at after every window of 1,000 positions; beside the gate a one-sided
paired t-test at the same alpha, looked at as often, and the same t-test looked at once, at the end. Then the power: how
many examples it takes to promote a challenger that is better, for champions that err on a fifth. Prints three tables.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import NormalDist, median
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from streamml import Gate  # noqa: E402  # the path must be set first
from streamml.gates import Race, Results  # noqa: E402

WINDOW = 1_000
LONGEST = 200_000
WITHIN = (5_000, 20_000, 100_000)
Errors: TypeAlias = npt.NDArray[np.bool_]
Pair: TypeAlias = tuple[Errors, Errors]
"""Where the champion and where the challenger was wrong, over one window."""


def independent(rng: np.random.Generator, window: int) -> Pair:
    """Each is wrong on a fifth, whatever the other says."""
    return rng.random(WINDOW) < 0.2, rng.random(WINDOW) < 0.2


def correlated(rng: np.random.Generator, window: int, rate: float = 0.2) -> Pair:
    """On four fifths of the examples both are right or both are wrong."""
    shared, own, other = (rng.random(WINDOW) < rate for _ in range(3))
    alike = rng.random(WINDOW) < 0.8
    return np.where(alike, shared, own), np.where(alike, shared, other)


def drifting(rng: np.random.Generator, window: int) -> Pair:
    """Correlated; the error rate of both swings between 0.05 and 0.45 within 14 windows."""
    return correlated(rng, window, 0.25 + 0.2 * math.sin(window * math.tau / 14))


def disagreeing(rng: np.random.Generator, window: int) -> Pair:
    """Each is wrong on half of the examples, and nearly always where the other is right."""
    wrong = rng.random(WINDOW) < 0.5
    return wrong, wrong ^ (rng.random(WINDOW) < 0.9)


NULLS: dict[str, Callable[[np.random.Generator, int], Pair]] = {
    "independent": independent,
    "correlated": correlated,
    "drifting": drifting,
    "disagreeing": disagreeing,
}


def better(rng: np.random.Generator, improvement: float, disagreement: float) -> Pair:
    """They disagree on a share of the examples; the challenger is right in more than half of these."""
    draws = rng.random(WINDOW)
    won = draws < (disagreement + improvement) / 2
    lost = (draws < disagreement) & ~won
    both = (draws >= disagreement) & (rng.random(WINDOW) < 0.2)
    return won | both, lost | both


def results(model: str, window: int, wrong: Errors) -> Results:
    return Results(model, window, window * WINDOW, WINDOW, wrong.astype(np.float64).tolist(), {}, {})


class Paired:
    """The one-sided paired t-test on the differences so far; with thousands of them t is normal."""

    def __init__(self, alpha: float) -> None:
        self._bound = NormalDist().inv_cdf(1 - alpha)
        self._count = self._sum = self._squares = 0

    def add(self, champion: Errors, challenger: Errors) -> None:
        self._count += len(champion)
        self._sum += int(champion.sum()) - int(challenger.sum())
        self._squares += int((champion ^ challenger).sum())

    @property
    def rejects(self) -> bool:
        mean = self._sum / self._count
        variance = (self._squares - self._count * mean**2) / (self._count - 1)
        return variance > 0 and mean / math.sqrt(variance / self._count) >= self._bound


def null_races(gate: Gate, races: int, examples: int, seed: int) -> Iterator[tuple[str, int, int, int]]:
    """(kind, false promotions by the gate, by the t-test after every window, by the t-test at the end)."""
    for number, (kind, pair) in enumerate(NULLS.items()):
        ours = peeked = ended = 0
        for rng in np.random.default_rng([seed, number]).spawn(races):
            race, test, early = Race(gate, 1.0, 0), Paired(gate.alpha), False
            for window in range(examples // WINDOW):
                champion, challenger = pair(rng, window)
                race.add(results("champion", window, champion), results("challenger", window, challenger))
                test.add(champion, challenger)
                early = early or (race.examples >= gate.minimum and test.rejects)
            ours += race.decided
            peeked += early
            ended += test.rejects
        yield kind, ours, peeked, ended


def power(gate: Gate, races: int, seed: int) -> Iterator[tuple[float, float, list[float]]]:
    """(disagreement, improvement, examples until promotion in each race; infinite if more than `LONGEST`)."""
    for disagreement in (0.1, 0.3):
        for improvement in (0.005, 0.01, 0.02, 0.05):
            taken: list[float] = []
            for rng in np.random.default_rng([seed, 99, int(1_000 * improvement)]).spawn(races):
                race = Race(gate, 1.0, 0)
                while not race.decided and race.examples < LONGEST:
                    champion, challenger = better(rng, improvement, disagreement)
                    at = race.next_window
                    race.add(results("champion", at, champion), results("challenger", at, challenger))
                taken.append(race.examples if race.decided else math.inf)
            yield disagreement, improvement, taken


def interval(hits: int, trials: int, level: float = 0.99) -> tuple[float, float]:
    """The exact interval of Clopper & Pearson (1934) for a share."""
    tail = (1 - level) / 2

    def at_most(k: int, p: float) -> float:
        logs = (math.lgamma(trials + 1) - math.lgamma(i + 1) - math.lgamma(trials - i + 1) for i in range(k + 1))
        return math.fsum(
            math.exp(choose + i * math.log(p) + (trials - i) * math.log1p(-p)) for i, choose in enumerate(logs)
        )

    def where(falls: Callable[[float], bool]) -> float:
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (low, middle) if falls(middle) else (middle, high)
        return (low + high) / 2

    lower = where(lambda p: 1 - at_most(hits - 1, p) > tail) if hits else 0.0
    upper = where(lambda p: at_most(hits, p) < tail) if hits < trials else 1.0
    return lower, upper


def shown(hits: int, trials: int) -> str:
    lower, upper = interval(hits, trials)
    return f"{hits / trials:.3f} [{lower:.3f}, {upper:.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--races", type=int, default=1_000)
    parser.add_argument("--examples", type=int, default=30_000)
    parser.add_argument("--alpha", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    gate = Gate(alpha=wanted.alpha)

    print(f"false promotions in {wanted.races} null races of {wanted.examples} examples, alpha {wanted.alpha}")
    print("(share and its exact 99 % interval)")
    print(f"{'errors':<12} {'gate':<22} {'t-test, every window':<22} t-test, at the end")
    for kind, *counts in null_races(gate, wanted.races, wanted.examples, wanted.seed):
        print(f"{kind:<12} " + " ".join(f"{shown(count, wanted.races):<22}" for count in counts).rstrip(), flush=True)

    races = max(1, wanted.races // 10)
    heading = " ".join(f"by {limit:<8}" for limit in WITHIN)
    for disagreement, improvement, taken in power(gate, races, wanted.seed):
        if improvement == 0.005:
            print(f"\npower in {races} races where the two disagree on {disagreement:.0%}")
            print(f"improvement  median    {heading}".rstrip())
        shares = " ".join(f"{sum(each <= limit for each in taken) / races:<11.2f}" for limit in WITHIN)
        half = median(taken)
        said = f"{half:.0f}" if half < math.inf else f">{LONGEST}"
        print(f"{improvement:<12} {said:<9} {shares}".rstrip(), flush=True)


if __name__ == "__main__":
    main()
