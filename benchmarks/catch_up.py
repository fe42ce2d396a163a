"""How fast a challenger catches up with a log that is there already, and what that costs those who are served.

    python benchmarks/catch_up.py [--events N] [--models hat,arf] [--rounds N] [--rate N] [--seconds S]
        [--bootstrap HOST:PORT]

A worker with one linear model fills `examples`. Then a worker of its own, `--only learn:MODEL` of the wider topology,
learns them: its CPU and wall time from the first example to the last one, beside River alone, test-then-train over the
same rows in one process. `ratio` is River's CPU time divided by the worker's; 1 would be a challenger that costs
nothing but River. Then the champion is given `rate` events a second, for `seconds` without a challenger and then while
one catches up: the time from an event's producer to its prediction in the hands of a read_committed consumer. Prints
one line of JSON; medians of the rounds. Over less than a minute the p99 of the same worker differs by a third.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.load import fill  # noqa: E402  # the path must be set first
from benchmarks.phishing import BUILDS, rows  # noqa: E402
from benchmarks.steady import Reader, Stream, quantiles  # noqa: E402
from benchmarks.worker import Worker, worker  # noqa: E402
from streamml.broker import Broker  # noqa: E402

CHAMPION = "lr"
_LOOK_S = 0.5
"""Between two looks at what a challenger has learned: each costs it some milliseconds."""
_START_S = 0.1
_PATIENCE_S = 1_800.0
_SETTLE_S = 3.0
MARK = 1_000


class Look(NamedTuple):
    """What a challenger had come to at a moment (s, `time.monotonic`)."""

    at: float
    cpu: float
    position: int


def river(model: str, events: int) -> list[float]:
    """The CPU seconds that River alone takes for the first 0, 1,000, 2,000 and so on of `events` rows."""
    estimator, stream = BUILDS[model](), list(rows(events))
    marks = [0.0]
    begun = time.process_time()
    for place, (x, y) in enumerate(stream, 1):
        estimator.predict_proba_one(x)
        estimator.learn_one(x, y)
        if place % MARK == 0:
            marks.append(time.process_time() - begun)
    return marks


def river_apart(model: str, events: int) -> list[float]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--river", model, "--events", str(events)]
    done = subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": "0"}, check=True, stdout=subprocess.PIPE)
    found: list[float] = json.loads(done.stdout)
    return found


def between(marks: Sequence[float], start: int, end: int) -> float:
    """River's time for the rows from `start` to `end`."""

    def until(place: int) -> float:
        at, rest = divmod(place, MARK)
        after = marks[min(at + 1, len(marks) - 1)]
        return marks[at] + (after - marks[at]) * rest / MARK

    return until(end) - until(start)


def caught_up(challenger: Worker, name: str, target: int) -> list[Look]:
    """Looks at a challenger from its first examples on; with the last one it has learned `target`."""
    looks: list[Look] = []
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            position = int(challenger.figure("streamml_model_position", model=name))
        except (urllib.error.URLError, ConnectionError):
            position = 0  # It starts.
        look = Look(time.monotonic(), challenger.cpu_seconds(), position)
        if position > 0:
            looks.append(look)
        if position >= target:
            return looks
        if look.at > end:
            raise SystemExit(f"{name} has learned {position} of {target} examples within {_PATIENCE_S:g} s")
        time.sleep(_LOOK_S if looks else _START_S)


class Bench:
    """One application, whose examples are there; `number` makes each challenger a new one, that begins at nothing."""

    def __init__(self, bootstrap: str, app: str, events: int) -> None:
        self._bootstrap, self._app, self._events = bootstrap, app, events
        self._sent = events
        self._number = 1

    def fill(self) -> None:
        with worker(self._bootstrap, self._app) as here:
            fill(self._bootstrap, self._app, self._events)
            here.wait("the last example", lambda: here.figure("streamml_model_position", model=CHAMPION) >= self._sent)

    def alone(self, model: str) -> dict[str, Any]:
        """A challenger that has the machine to itself, and River right after it."""
        name, models = self._next(model)
        with worker(self._bootstrap, self._app, models, only=f"learn:{name}", ready=False) as challenger:
            looks = caught_up(challenger, name, self._events)
            memory = challenger.memory_mib()
        if len(looks) < 3:
            raise SystemExit(f"{name} had caught up within {_LOOK_S:g} s: give more --events")
        first, last = looks[0], looks[-2]  # By the last look it may have rested for a while.
        count, cpu = last.position - first.position, last.cpu - first.cpu
        floor = between(river_apart(model, self._events), first.position, last.position)
        return {
            "examples": count,
            "cpu_us_per_example": round(1e6 * cpu / count, 2),
            "river_us_per_example": round(1e6 * floor / count, 2),
            "examples_per_s": round(count / (last.at - first.at)),
            "ratio": round(floor / cpu, 3),
            "memory_mib": round(memory),
        }

    def beside(self, model: str, rate: int, seconds: int) -> dict[str, Any]:
        """The champion's latency without and with a challenger that catches up."""
        name, models = self._next(model)
        there: dict[bytes, float] = {}

        def take(message: Any, now: float) -> None:
            there[message.key()] = now

        with (
            worker(self._bootstrap, self._app),
            Reader(self._bootstrap, [f"{self._app}.predictions"], take),
            Stream(self._bootstrap, self._app, rate, self._sent) as stream,
        ):
            time.sleep(_SETTLE_S)
            quiet = time.monotonic(), time.monotonic() + seconds
            time.sleep(seconds)
            with worker(self._bootstrap, self._app, models, only=f"learn:{name}", ready=False) as challenger:
                looks = caught_up(challenger, name, self._events)
            busy = looks[0].at, looks[-1].at
            time.sleep(_SETTLE_S)
        self._sent += len(stream.sent)

        def late(span: tuple[float, float]) -> list[float]:
            of_span = [key for key, at in stream.sent.items() if span[0] <= at < span[1]]
            if missing := sum(key not in there for key in of_span):
                raise SystemExit(f"{missing} of {len(of_span)} events have no prediction")
            return [1e3 * (there[key] - stream.sent[key]) for key in of_span]

        found = {"alone": quantiles(late(quiet)), "beside": quantiles(late(busy))}
        return {**found, "rise": round(found["beside"]["p99_ms"] / found["alone"]["p99_ms"] - 1, 3)}

    def _next(self, model: str) -> tuple[str, str]:
        """The name of a new challenger, and the models of the topology that has it."""
        self._number += 1
        name = f"{model}{self._number}"
        return name, f"{CHAMPION},{name}"


def measure(bootstrap: str, app: str, wanted: argparse.Namespace) -> dict[str, Any]:
    """All of it."""
    bench = Bench(bootstrap, app, wanted.events)
    bench.fill()
    found: dict[str, Any] = {"events": wanted.events, "rounds": wanted.rounds}
    for model in wanted.models.split(","):
        alone = [_told(model, bench.alone(model)) for _ in range(wanted.rounds)]
        rounds = range(wanted.rounds if wanted.seconds else 0)
        beside = [_told(model, bench.beside(model, wanted.rate, wanted.seconds)) for _ in rounds]
        found[model] = {"ratio": median(each["ratio"] for each in alone), "alone": alone}
        if beside:
            found[model] |= {"rate": wanted.rate, "rise": median(each["rise"] for each in beside), "beside": beside}
    return found


def _told(model: str, figures: dict[str, Any]) -> dict[str, Any]:
    print(f"{model}: {json.dumps(figures)}", file=sys.stderr)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--models", default="hat", help=f"challengers, of {', '.join(BUILDS)}")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rate", type=int, default=1_000, help="events a second for the latency")
    parser.add_argument("--seconds", type=int, default=60, help="how long without a challenger; 0 leaves it out")
    parser.add_argument("--bootstrap", help="a broker that runs already")
    parser.add_argument("--river", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.river:
        print(json.dumps(river(wanted.river, wanted.events)))
        return
    with tempfile.TemporaryDirectory(prefix="streamml-bench-") as folder:
        broker = None if wanted.bootstrap else Broker(Path(folder), port=0, tied=True)
        bootstrap = wanted.bootstrap or (broker.up() if broker else "")
        try:
            print(json.dumps(measure(bootstrap, f"catch-up-{time.time_ns()}", wanted)))
        finally:
            if broker is not None:
                broker.down()


if __name__ == "__main__":
    main()
