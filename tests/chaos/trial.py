"""Does the checker find what was planted? Law: a checker that cannot fail proves nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from chaos.mutants import MUTANTS
from chaos.run import Options, run

_MINUTES = 0.8
_GAP = 4.0
_PATIENCE = 45.0
_WORKERS = 2

Found = Mapping[str, Sequence[str]]
"""The checker's failures, by mutant."""


def trial(options: Options, names: Sequence[str], say: Callable[[str], None]) -> Found:
    """What was found of each planted defect."""
    found: dict[str, list[str]] = {}
    for number, name in enumerate(names):
        mutant = MUTANTS[name]
        say(f"== {name}: {mutant.defect}")
        faults = tuple(mutant.faults.split(","))
        outcome = run(
            replace(
                options,
                seed=options.seed + number,
                minutes=_MINUTES,
                gap=_GAP,
                least=mutant.least,
                aimed=True,
                workers=_WORKERS,
                faults=faults,
                conditions=(),
                mutant=name,
                patience=_PATIENCE,
            ),
            say,
        )
        found[name] = outcome.verdict.failures
        for line in (*found[name], *outcome.history):
            say(line)
    return found


def traces(name: str, failures: Sequence[str]) -> list[str]:
    """Those of the failures that are what this defect should lead to."""
    return [line for line in failures if any(word in line for word in MUTANTS[name].shows)]


def caught(found: Found) -> bool:
    """Whether every defect has left its own trace."""
    return all(traces(name, failures) for name, failures in found.items())


def table(found: Found) -> list[str]:
    """One line for each defect, as a Markdown table."""
    lines = ["| mutant | defect | caught | what the checker found |", "|---|---|---|---|"]
    for name, failures in found.items():
        seen = traces(name, failures)
        shown = "; ".join(seen[:4] or failures[:4]) or "nothing"
        lines.append(f"| {name} | {MUTANTS[name].defect} | {'yes' if seen else 'NO'} | {shown} |")
    return lines
