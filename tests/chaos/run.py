"""One run: a broker, producers, workers, faults, and the checker. Law: it ends in time, and nothing outlives it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any
from zlib import crc32

from chaos import storm
from chaos.expected import Told, expect
from chaos.history import history
from chaos.judge import Judge
from chaos.pool import Member, Say, tied
from chaos.reading import Log, committed, last_offset
from chaos.recovery import Recoveries, Watch
from chaos.schedule import schedule
from chaos.sender import framing, partitioner
from chaos.strikes import Strikes, System
from chaos.ticks import BLOCK, Pace, block
from chaos.verdict import Verdict
from support.processes import Process
from support.proxy import Proxy
from support.tiny import START

from streamml import Topology
from streamml.broker import Broker
from streamml.engine.layout import stages
from streamml.partitioning import partition_of

EXTRAS = 2
_LATE_S = 5.0
_LOOK_S = 1.0


@dataclass(frozen=True)
class Options:
    """What a run is asked for; `gap` is the mean time between two faults, in s."""

    seed: int
    minutes: float
    rate: float
    faults: Sequence[str]
    conditions: Sequence[str] = ()
    workers: int = 3
    producers: int = 3
    gap: float = 8.0
    mutant: str = "-"
    least: float = 0.0
    """How long a fault lasts at least, in s."""
    aimed: bool = False
    """Strike only what is at work, and take up to four times as long for it on a busy machine."""
    patience: float = 120.0
    logs: Path | None = None


@dataclass
class Outcome:
    """What came of it."""

    verdict: Verdict
    figures: dict[str, Any] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.verdict.failures


class Run:
    """Everything that runs, from `go` to the verdict."""

    def __init__(self, options: Options, say: Say, stack: ExitStack) -> None:
        self.options = options
        self.say = say
        self._stack = stack
        self.folder = Path(stack.enter_context(TemporaryDirectory(prefix="streamml-chaos-")))
        self.app = f"storm-{options.seed}"
        self._conditions = ",".join(options.conditions)
        self.topology: Topology = storm.storm(self.app, self._conditions)
        self.pace = Pace(options.rate, options.producers)
        self.file = storm.topology_file(self.folder, self.app, self._conditions)
        self.bootstrap = ""
        self.epoch = 0.0
        self._ending = Event()

    def go(self) -> Outcome:
        began = time.monotonic()
        system = self._system()
        senders = self._begin(system)
        strikes = Strikes(system, self.epoch, self.say)
        watch = Watch(
            self.bootstrap, self.topology.topic("predictions"), storm.PARTITIONS, self._place, system.recoveries
        )
        self._stack.callback(watch.stop)
        self._storm(strikes, watch)
        self.say("calm: everything is undone")
        strikes.calm()
        told = self._end(senders)
        verdict = Verdict()
        self.await_consumed(strikes, verdict)
        watch.stop()
        self._part(system, verdict)
        seconds = (max(t.until for t in told) - START) / 1_000
        figures = {
            "seed": self.options.seed,
            "minutes": self.options.minutes,
            "events": sum(t.ticks for t in told),
            "events per second": round(sum(t.ticks for t in told) / seconds, 1),
            "faults": dict(sorted(strikes.counts.items())),
            "recovery s": system.recoveries.figures(),
        }
        self.say(f"ran for {time.monotonic() - began:.0f} s; checking")
        outcome = self.judge(told, verdict, strikes)
        outcome.figures = {**figures, **verdict.figures, "failures": verdict.failures}
        outcome.figures["seconds in all"] = round(time.monotonic() - began)
        return outcome

    # The system.

    def _system(self) -> System:
        options, stack = self.options, self._stack
        proxied = {"cut", "delay"} & set(options.faults)
        proxies = [Proxy(f"line of w{n}") for n in range(options.workers)] if proxied else []
        for proxy in proxies:
            stack.callback(proxy.close)
        doors = {f"W{n}": proxy.port for n, proxy in enumerate(proxies)}
        broker = Broker(self.folder / "broker", port=0, tied=True, doors=doors)
        stack.callback(broker.kill)
        self.bootstrap = broker.up()
        for number, proxy in enumerate(proxies):
            proxy.target = broker.door(f"W{number}")
        lines = [f"127.0.0.1:{p.port}" for p in proxies] or [self.bootstrap] * options.workers
        members = [self.member(f"w{n}", lines[n]) for n in range(options.workers)]
        extras = [self.member(f"x{n}", self.bootstrap) for n in range(EXTRAS if "rebalance" in options.faults else 0)]
        return System(broker, members, extras, proxies, Recoveries(0.0))

    def member(self, name: str, bootstrap: str) -> Member:
        """One worker of the group."""
        options = self.options
        return Member(
            self._stack,
            name,
            bootstrap,
            self.file,
            mutant=options.mutant,
            env={storm.NAP: "1"} if "slow" in options.conditions else {},
            logs=options.logs,
        )

    def _begin(self, system: System) -> list[Process]:
        """Topics, workers, producers: in this order, or with the topics last."""
        late = "late" in self.options.conditions
        if late:
            for member in system.members:
                member.start()
            self.say(f"the workers start {_LATE_S:g} s before there is any topic")
            time.sleep(_LATE_S)
        with tied("-m", "streamml", "apply", str(self.file), "--yes", "--bootstrap", self.bootstrap) as apply:
            assert apply.end() == 0, apply.lines
        if not late:
            for member in system.members:
                member.start()
        self.epoch = time.time() + 0.5
        system.recoveries.epoch = self.epoch
        for member in system.members:
            Thread(target=self._look, args=(member,), daemon=True).start()
        self._stack.callback(self._ending.set)
        return [self._sender(number) for number in range(self.options.producers)]

    def _look(self, member: Member) -> None:
        while not self._ending.wait(_LOOK_S):
            member.look()

    def _sender(self, number: int) -> Process:
        options = self.options
        given = (options.seed, number, options.producers, options.rate, self.epoch, self.bootstrap, self.app)
        arguments = [str(each) for each in (*given, self._conditions)]
        return self._stack.enter_context(tied("-m", "chaos.sender", *arguments))

    # The storm.

    def _storm(self, strikes: Strikes, watch: Watch) -> None:
        options = self.options
        seconds = options.minutes * 60
        faults = schedule(options.seed, max(0.0, seconds - 10.0), options.faults, options.gap, options.least)
        self.say(f"{len(faults)} faults are planned in {seconds:.0f} s")
        told, struck_at, seen = 0.0, 0.0, 0
        while (at := time.time() - self.epoch) < seconds or (options.aimed and faults and at < 4 * seconds):
            # The first faults wait until the workers are at work.
            while faults and faults[0].at + 8.0 <= at:
                if options.aimed and not (watch.count > seen and strikes.at_work and at > struck_at + 2.0):
                    break
                strikes.strike(faults.pop(0))
                struck_at, seen = at, watch.count + 1_000
            strikes.work()
            if at - told > 10:
                told = at
                self.say(f"{at:7.1f} s  {watch.count} predictions read")
            time.sleep(0.05)

    def _end(self, senders: Sequence[Process]) -> list[Told]:
        told = []
        for sender in senders:
            sender.tell(SIGTERM)
        for number, sender in enumerate(senders):
            said = json.loads(sender.line('"producer"', 150.0))
            if said["failed"] or said["left"]:
                raise AssertionError(f"producer {number}: {said}")
            told.append(Told(said["ticks"], said["until"]))
        return told

    def await_consumed(self, strikes: Strikes, verdict: Verdict) -> None:
        """Until every input of every task is committed to its last record."""
        until = time.monotonic() + self.options.patience
        while behind := self._behind():
            strikes.work()
            if time.monotonic() > until:
                verdict.fail(f"not consumed after {self.options.patience:g} s: {', '.join(behind[:6])}")
                return
            time.sleep(0.3)
        self.say("everything is consumed")

    def _behind(self) -> list[str]:
        """Each input partition whose committed offset is not behind its last record."""
        behind = []
        for stage in stages(self.topology):
            group = f"{self.app}.{stage.name.replace(':', '.')}"
            many = {"events", "feedback", "features", "predictions", "labels"}
            places = [
                (self.topology.topic(role), number)
                for role in stage.inputs
                for number in range(storm.PARTITIONS if role in many else 1)
            ]
            offsets = committed(self.bootstrap, group, places)
            for topic, number in places:
                last = last_offset(self.bootstrap, topic, number)
                if (held := offsets.get((topic, number), 0)) <= last:
                    behind.append(f"{group} at {held} of {topic}/{number}, whose last record is {last}")
        return behind

    def _part(self, system: System, verdict: Verdict) -> None:
        """An orderly end, once each is far enough to take a signal: while it is being loaded, SIGTERM just ends it."""
        until = time.monotonic() + 60.0
        while not all(member.up for member in system.members) and time.monotonic() < until:
            time.sleep(0.1)
        for member in system.members:
            if member.running:
                member.wanted = False
                member.process.tell(SIGTERM)
        for member in system.members:
            if (code := member.wait(60.0)) not in (0, None):
                verdict.fail(f"{member.name} ended with {code} after SIGTERM in calm weather")

    # The verdict.

    def judge(self, told: Sequence[Told], verdict: Verdict, strikes: Strikes) -> Outcome:
        logs: dict[str, Log] = {}

        def read(role: str, partition: int | None) -> Any:
            log = logs.setdefault(role, Log(self.bootstrap, self.topology.topic(role)))
            return log.of(partition)

        expected = expect(self.options.seed, self.pace, framing(self.topology), told)
        judge = Judge(self.topology, expected, read, self.say)
        judge.verdict = verdict
        judge.judge()
        lines: list[str] = []
        if verdict.offenders:
            lines = history(min(verdict.offenders, key=_by_time), read, self.pace, strikes.done)
        return Outcome(verdict, history=lines)

    def _place(self, producer: int, tick: int) -> int:
        """Which partition of `events` an event went to, by its producer's partitioner."""
        key = b"s%d" % block(self.options.seed, producer, tick // BLOCK).station[tick % BLOCK]
        if partitioner(producer, "events").startswith("murmur2"):
            return partition_of(key, storm.PARTITIONS)
        return crc32(key) % storm.PARTITIONS


def _by_time(id: bytes) -> tuple[int, bytes]:
    return int(id.rpartition(b"-")[2]), id


def run(options: Options, say: Callable[[str], None]) -> Outcome:
    """Run, and clean up whatever happens."""
    with ExitStack() as stack:
        return Run(options, say, stack).go()
