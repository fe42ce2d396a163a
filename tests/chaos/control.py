"""The control: the same producers, kills and checker on a stock Faust agent. Law: it is judged by less than streamml.

Only events and their predictions are looked at: lost, doubled, out of order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from chaos.codes import code_of, id_in_event
from chaos.expected import Told
from chaos.lanes import compare
from chaos.pool import Member
from chaos.reading import Log, ends
from chaos.run import Options, Outcome, Run
from chaos.storm import PARTITIONS
from chaos.strikes import Strikes
from chaos.verdict import Verdict, codes

_QUIET_S = 20.0


class Agent(Member):
    """One worker of the Faust app."""

    def __init__(self, stack: ExitStack, name: str, bootstrap: str, guarantee: str, app: str, folder: Path) -> None:
        super().__init__(stack, name, bootstrap, folder)
        self._arguments = ["-m", "chaos.faust_agent", guarantee, bootstrap, app, str(folder / name)]

    def status(self) -> dict[str, Any]:
        """It has none, so it always seems to be up."""
        return {"tasks": ()}


class Control(Run):
    """A run of Faust."""

    def __init__(self, options: Options, say: Callable[[str], None], stack: ExitStack, guarantee: str) -> None:
        super().__init__(options, say, stack)
        self._guarantee = guarantee

    def member(self, name: str, bootstrap: str) -> Member:
        agent = Agent(self._stack, name, bootstrap, self._guarantee, self.app, self.folder)
        agent.logs = self.options.logs
        return agent

    def await_consumed(self, strikes: Strikes, verdict: Verdict) -> None:
        """Until nothing has come for a while."""
        places = [(self.topology.topic("predictions"), number) for number in range(PARTITIONS)]
        seen, since = 0, time.monotonic()
        until = since + self.options.patience
        while time.monotonic() - since < _QUIET_S and time.monotonic() < until:
            strikes.work()
            with suppress(Exception):
                if (now := sum(ends(self.bootstrap, places).values())) != seen:
                    seen, since = now, time.monotonic()
            time.sleep(0.5)

    def judge(self, told: Sequence[Told], verdict: Verdict, strikes: Strikes) -> Outcome:
        given: dict[int, Any] = {number: codes() for number in range(PARTITIONS)}
        found: dict[int, Any] = {number: codes() for number in range(PARTITIONS)}
        for row in Log(self.bootstrap, self.topology.topic("events")):
            if not row.key.startswith(b"m"):
                given[row.partition].append(code_of(id_in_event(row.value or b"")))
        for row in Log(self.bootstrap, self.topology.topic("predictions")):
            if not row.key.startswith(b"m") and row.key:
                found[row.partition].append(code_of(row.key))
        lanes = compare(given, found)
        for line in lanes.failures("predictions"):
            verdict.fail(line)
        verdict.figures |= {
            "guarantee": self._guarantee,
            "events in log": lanes.count,
            "lost": len(lanes.lost),
            "doubled": len(lanes.doubled),
            "disordered": len(lanes.disordered),
        }
        return Outcome(verdict)


def control(options: Options, say: Callable[[str], None]) -> list[Outcome]:
    """One run for each guarantee that Faust offers."""
    outcomes = []
    for guarantee in ("exactly_once", "at_least_once"):
        say(f"== Faust, {guarantee}")
        with ExitStack() as stack:
            outcomes.append(Control(options, say, stack, guarantee).go())
    return outcomes
