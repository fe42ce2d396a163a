"""Chaos: `PYTHONPATH=tests python -m chaos --seed 7 --minutes 2`. Law: the seed is told first, the exit code is the
verdict.

--mutants plants known defects, to see the checker find them; --control lets another system weather the same.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path

from chaos.control import control
from chaos.mutants import MUTANTS
from chaos.run import Options, run
from chaos.schedule import KINDS
from chaos.storm import CONDITIONS
from chaos.trial import caught, table, trial

ALL = (*KINDS, *CONDITIONS)
USUAL = "kill,stop,term,rebalance,broker,cut,delay,raise,clock"


def main() -> int:
    """The command; 0 if nothing was found."""
    parser = argparse.ArgumentParser("chaos", description="streamml under faults, and a checker of what came of it.")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--rate", type=float, default=2_000.0, help="events a second, of all producers together")
    parser.add_argument("--faults", default=USUAL, help=f"all, none, or some of {','.join(ALL)}")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--producers", type=int, default=3)
    parser.add_argument("--gap", type=float, default=8.0, help="seconds between two faults, on average")
    parser.add_argument("--patience", type=float, default=120.0, help="seconds for the rest to be worked on in the end")
    parser.add_argument("--mutant", default="-", help="plant a defect in the workers")
    parser.add_argument("--mutants", nargs="?", const="all", help="plant each defect in turn, or those named")
    parser.add_argument("--control", choices=["faust"], help="the same faults and checker on another system")
    parser.add_argument("--logs", type=Path, help="a folder for the workers' logs")
    asked = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupted)
    names = ALL if asked.faults == "all" else tuple(n for n in asked.faults.split(",") if n not in ("", "none"))
    if unknown := set(names) - set(ALL):
        parser.error(f"no fault {sorted(unknown)[0]!r}: there are {', '.join(ALL)}")
    if asked.logs is not None:
        asked.logs.mkdir(parents=True, exist_ok=True)
    print(f"seed {asked.seed}", flush=True)
    options = Options(
        seed=asked.seed,
        minutes=asked.minutes,
        rate=asked.rate,
        faults=tuple(n for n in names if n in KINDS),
        conditions=tuple(n for n in names if n in CONDITIONS),
        workers=asked.workers,
        producers=asked.producers,
        gap=asked.gap,
        mutant=asked.mutant,
        patience=asked.patience,
        logs=asked.logs,
    )
    if asked.mutants:
        found = trial(options, list(MUTANTS) if asked.mutants == "all" else asked.mutants.split(","), say)
        print("\n".join(table(found)), flush=True)
        return 0 if caught(found) else 1
    if asked.control:
        figures = [each.figures for each in control(options, say)]
        print(json.dumps(figures, indent=2), flush=True)
        return 0
    outcome = run(options, say)
    for line in outcome.history:
        print(line)
    print(json.dumps(outcome.figures, indent=2), flush=True)
    return 0 if outcome.good else 1


def say(line: str) -> None:
    """One line of progress."""
    print(line, flush=True)


def _interrupted(number: int, _: object) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
