"""Faults done to a running system. Law: what is done is told, and whatever can be undone is undone in time.

What has to happen later (a SIGCONT, a restart) waits in a queue: `work` does what is due.
"""

from __future__ import annotations

import heapq
import itertools
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from random import Random

from chaos.pool import Member, Say
from chaos.recovery import Recoveries
from chaos.schedule import Fault
from chaos.storm import PARTITIONS
from chaos.worker import JUMP, RAISE
from support.proxy import Proxy

from streamml.broker import Broker
from streamml.errors import BrokerError

_SHORTEST_OUTAGE_S = 6.0
"""A worker that is stopped for longer than its session loses its partitions."""


@dataclass
class System:
    """What can be struck. `extras` are members that only come and go."""

    broker: Broker
    members: Sequence[Member]
    extras: Sequence[Member]
    proxies: Sequence[Proxy]
    recoveries: Recoveries


@dataclass(frozen=True)
class Done:
    """A fault as it was done, and when (s since the epoch of the run)."""

    at: float
    what: str


@dataclass
class Strikes:
    """Does faults to a system, and undoes them."""

    system: System
    epoch: float
    say: Say
    done: list[Done] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    _later: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _revival: threading.Thread | None = None

    def strike(self, fault: Fault) -> None:
        """Do it, if there is anything that it can be done to."""
        self.system.recoveries.disturb()
        victim = getattr(self, f"_{fault.kind}")(fault)
        self._tell(fault.kind if victim else "skipped", f"{fault.kind} {victim or '(nobody)'} for {fault.lasts:.1f} s")

    @property
    def at_work(self) -> bool:
        """Whether some member scores, as far as it has told since its start."""
        return any(member.running and member.units for member in self.system.members)

    def work(self, everything: bool = False) -> None:
        """Undo what is due, or everything; start again whoever has ended."""
        while self._later and (everything or self._later[0][0] <= time.monotonic()):
            heapq.heappop(self._later)[2]()
        if everything and self._revival is not None:
            self._revival.join()
        now = time.monotonic()
        for member in (*self.system.members, *self.system.extras):
            code = member.ended(self.say)
            if code is not None and not member.told:
                # It ended by itself: a supervisor waits a moment.
                member.again_at = now + 0.5
                self.counts[f"ended by itself with {code}"] += 1
            if member.wanted and not member.running and member.again_at <= now:
                member.start()

    def calm(self) -> None:
        """Undo everything, and take the extras away."""
        self.work(everything=True)
        for member in self.system.extras:
            self._end(member)
        for member in self.system.members:
            member.again_at = 0.0
        self.work(everything=True)

    # The faults; each returns whom it struck, or nothing.

    def _kill(self, fault: Fault) -> str:
        member = self._choose(fault, self.system.members)
        if member is None:
            return ""
        self.system.recoveries.expect("kill", member.units)
        self._restart(member, fault, signal.SIGKILL)
        return member.name

    def _term(self, fault: Fault) -> str:
        member = self._choose(fault, self.system.members)
        if member is None:
            return ""
        self.system.recoveries.expect("term", member.units)
        self._restart(member, fault, signal.SIGTERM)
        return member.name

    def _restart(self, member: Member, fault: Fault, number: signal.Signals) -> None:
        member.again_at = time.monotonic() + fault.lasts
        if member.name in ("w2", "w3"):  # The first two always have all tasks, so that each has somebody.
            member.only = Random(fault.dice).choice(["", "score", "score,match", "match,detect", "learn,govern"])
        member.told = True
        member.process.tell(number)

    def _stop(self, fault: Fault) -> str:
        member = self._choose(fault, self.system.members)
        if member is None:
            return ""
        if fault.lasts > _SHORTEST_OUTAGE_S:
            self.system.recoveries.expect("stop", member.units)
        process = member.process
        member.stopped_until = time.monotonic() + fault.lasts + 0.2
        process.tell(signal.SIGSTOP)
        self._after(fault.lasts, lambda: process.tell(signal.SIGCONT))
        return member.name

    def _rebalance(self, fault: Fault) -> str:
        idle = [member for member in self.system.extras if not member.wanted]
        for number, member in enumerate(idle):
            member.only = Random(fault.dice + number).choice(["", "score", "match", "score,match", "learn"])
            member.again_at = 0.0
            member.start()
            self._after(fault.lasts * (number + 1) / len(idle), partial(self._end, member))
        return "+".join(member.name for member in idle)

    def _broker(self, fault: Fault) -> str:
        if self._revival is not None and self._revival.is_alive():
            return ""
        self.system.recoveries.expect("broker", range(PARTITIONS))
        self.system.broker.kill()

        def revive() -> None:
            time.sleep(fault.lasts)
            for _ in range(5):
                with suppress(BrokerError):
                    self.system.broker.up()
                    break
            self.system.recoveries.expect("broker answers", range(PARTITIONS))

        self._revival = threading.Thread(target=revive, name="broker")
        self._revival.start()
        return "broker"

    def _cut(self, fault: Fault) -> str:
        proxy = self._choose_proxy(fault)
        if proxy is None:
            return ""
        proxy.cut()
        self._after(fault.lasts, proxy.mend)
        return proxy.name

    def _delay(self, fault: Fault) -> str:
        proxy = self._choose_proxy(fault)
        if proxy is None:
            return ""
        proxy.delay(0.02 + 0.3 * fault.dice)
        self._after(fault.lasts, proxy.mend)
        return f"{proxy.name} by {20 + 300 * fault.dice:.0f} ms"

    def _raise(self, fault: Fault) -> str:
        return self._signal(fault, RAISE)

    def _clock(self, fault: Fault) -> str:
        return self._signal(fault, JUMP)

    def _signal(self, fault: Fault, number: int) -> str:
        # Before it has set its handlers, the signal would end it.
        able = [member for member in self.system.members if member.units]
        member = self._choose(fault, able)
        if member is None:
            return ""
        member.process.tell(number)
        return member.name

    # Tools.

    def _choose(self, fault: Fault, among: Sequence[Member]) -> Member | None:
        now = time.monotonic()
        able = [member for member in among if member.running and member.stopped_until < now and member.again_at < now]
        # One at work rather than one that only starts.
        able = [member for member in able if member.units] or able
        return able[int(fault.dice * len(able))] if able else None

    def _choose_proxy(self, fault: Fault) -> Proxy | None:
        able = [proxy for proxy in self.system.proxies if proxy.whole]
        return able[int(fault.dice * len(able))] if able else None

    def _after(self, seconds: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._numbers), do))

    def _end(self, member: Member) -> None:
        member.wanted = False
        if member.running:
            member.told = True
            member.process.tell(signal.SIGTERM)

    def _tell(self, kind: str, what: str) -> None:
        at = time.time() - self.epoch
        self.counts[kind] += 1
        self.done.append(Done(at, what))
        self.say(f"{at:7.1f} s  {what}")
