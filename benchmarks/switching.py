"""How long it takes until another model serves: a command in `control`, and the first prediction that follows it.

    PYTHONHASHSEED=0 python benchmarks/switching.py [--times N] [--rate N] [--bootstrap HOST:PORT]

A worker under a steady load with labels, and two models that both learn. N times, in turn, the second one is promoted
and rolled back; then N times the first one is frozen at its newest snapshot and let go on; then, a tenth as often, it
is frozen between two snapshots. Measured from the broker's acknowledgement of the command to the first prediction by
what it asked for, in the hands of a read_committed consumer. `steps` are the medians of where that time goes. Prints
one line of JSON. `wrong` counts predictions by a model that was not the champion: before the decision that made it so,
or after a prediction by its successor.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, NamedTuple

from confluent_kafka import Message, Producer

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.steady import Reader, Stream, quantiles  # noqa: E402  # the path must be set first
from benchmarks.worker import TOPOLOGY, worker  # noqa: E402
from streamml import Topology, load_topology  # noqa: E402
from streamml.agents.roster import Reign  # noqa: E402
from streamml.broker import Broker  # noqa: E402
from streamml.engine.catalog import Catalog  # noqa: E402
from streamml.runtime.applying import open_store  # noqa: E402
from streamml.runtime.commanding import command_of  # noqa: E402
from streamml.runtime.connection import Connection  # noqa: E402
from streamml.runtime.rebuilding import read_catalog, read_shelf  # noqa: E402

MODELS = "lr,quick"
_PATIENCE_S = 30.0
_PAUSE_S = (0.3, 1.3)
"""Between two commands: not in step with anything that happens once a second."""


class Served(NamedTuple):
    """One prediction: when it was there (s, `time.monotonic`), and what it says of itself."""

    there: float
    model: str
    position: int
    at: int

    def by(self, reign: Reign) -> bool:
        return self.model == reign.model and reign.position in (None, self.position)


class Switch(NamedTuple):
    """The times of one command in ms after its acknowledgement; the middle two by the worker's clock, in whole ms."""

    decided: float
    decision: float
    served: float
    prediction: float


class Watch:
    """Keeps all predictions and decisions of an application, and waits for those that answer a command."""

    def __init__(self, topology: Topology, catalog: Catalog) -> None:
        self.predictions: list[Served] = []
        self.reigns: list[tuple[int, Reign]] = []
        """Each with the time of its decision, ms."""
        self._said, self._decided = catalog.codec("predictions").decode, catalog.codec("control").decode
        self._control = topology.topic("control")
        self._news = threading.Condition()
        self._wanted: Reign | None = None
        self._before = Reign("")
        self._first: Served | None = None
        self._answers: dict[int, tuple[float, dict[str, Any]]] = {}

    def take(self, message: Message, now: float) -> None:
        if message.topic() == self._control:
            self._hear(self._decided(message.value()), now)
            return
        said = self._said(message.value())
        served = Served(now, said["model"], said["position"], said["served_at"])
        self.predictions.append(served)
        if self._wanted is not None and served.by(self._wanted) and not served.by(self._before):
            with self._news:
                self._first, self._wanted = served, None
                self._news.notify_all()

    def _hear(self, entry: dict[str, Any], now: float) -> None:
        if entry["kind"] != "decision":
            return
        with self._news:
            if entry["accepted"]:
                self.reigns.append((entry["at"], Reign(entry["model"], entry["position"])))
            if entry["command"] is not None:
                self._answers[entry["command"]] = now, entry
            self._news.notify_all()

    def expect(self, reign: Reign, before: Reign) -> None:
        """The next command asks for `reign`."""
        # One that goes on after it was frozen is told from its copy by the position.
        self._before = before if before.position is not None else Reign("")
        self._first, self._wanted = None, reign

    def answer(self, offset: int, acknowledged: float, clock: float) -> Switch:
        """What came of the command at `offset`, acknowledged at this time: of `time.monotonic`, and of the clock, s."""
        with self._news:
            done = self._news.wait_for(lambda: offset in self._answers and self._first is not None, _PATIENCE_S)
            if (answer := self._answers.get(offset)) is not None and not answer[1]["accepted"]:
                raise SystemExit(f"refused: {answer[1]['reason']}")
            if not done or answer is None or self._first is None:
                raise SystemExit(f"the command at control@{offset} had no effect within {_PATIENCE_S:g} s")
            there, decision = answer
            return Switch(
                decision["at"] - 1e3 * clock,
                1e3 * (there - acknowledged),
                self._first.at - 1e3 * clock,
                1e3 * (self._first.there - acknowledged),
            )

    def wrong(self) -> int:
        """Predictions by another model than the champion, in the order of the log: from one to the next decision, never
        back, and none before the decision was made."""
        count = place = 0
        for served in self.predictions:
            ahead = place + 1
            if ahead < len(self.reigns):
                at, reign = self.reigns[ahead]
                frozen_goes_on = served.by(self.reigns[place][1]) and self.reigns[place][1].position is not None
                if served.by(reign) and served.at >= at and not frozen_goes_on:
                    place = ahead
            count += not served.by(self.reigns[place][1])
        return count


class Desk:
    """Gives commands, one after the other."""

    def __init__(self, bootstrap: str, topology: Topology, catalog: Catalog, watch: Watch) -> None:
        self._topic, self._encode, self._watch = topology.topic("control"), catalog.codec("control").encode, watch
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0, "acks": "all"})
        self._dice = Random(7)

    def give(self, action: str, asked: Reign | None, wanted: Reign, before: Reign) -> Switch:
        """Ask for `asked`, after which `wanted` serves; after a pause."""
        time.sleep(self._dice.uniform(*_PAUSE_S))
        name, position = asked or (None, None)
        now = int(1e3 * time.time())
        command = command_of(action, name, reason="a benchmark", author="bench", at=now, position=position)
        placed: list[tuple[int, float, float]] = []

        def delivered(error: object, message: Message) -> None:
            if error is not None:
                raise SystemExit(f"the command was not taken: {error}")
            placed.append((message.offset() or 0, time.monotonic(), time.time()))

        self._watch.expect(wanted, before)
        self._producer.produce(self._topic, self._encode(command), partition=0, on_delivery=delivered)
        self._producer.flush(_PATIENCE_S)
        return self._watch.answer(*placed[0])


def switches(bootstrap: str, app: str, times: int, rate: int) -> dict[str, Any]:
    """All of it, under an application of its own."""
    os.environ |= {"STREAMML_BENCH_APP": app, "STREAMML_BENCH_MODELS": MODELS}
    topology, connection = load_topology(str(TOPOLOGY)), Connection(bootstrap)
    with worker(bootstrap, app, MODELS) as here:
        catalog = asyncio.run(_catalog(topology, connection))
        first, second = (Reign(model.name) for model in topology.models)
        watch = Watch(topology, catalog)
        watch.reigns.append((0, first))
        desk = Desk(bootstrap, topology, catalog, watch)
        topics = [topology.topic("predictions"), topology.topic("control")]
        with Reader(bootstrap, topics, watch.take), Stream(bootstrap, app, rate):
            here.wait("a snapshot", lambda: here.figure("streamml_snapshot_position", model="lr") > 0)
            found = {"promote": list[Switch](), "rollback": list[Switch]()}
            for _ in range(times // 2):
                found["promote"].append(desk.give("promote", second, second, first))
                found["rollback"].append(desk.give("rollback", None, first, second))
            for name, pairs, aside in (("frozen", times // 2, 0), ("between", times // 20, 1)):
                found[name], found[f"{name}, then on"] = [], []
                for position in _places(topology, connection, catalog, pairs, aside):
                    frozen = Reign(first.model, position)
                    found[name].append(desk.give("rollback", frozen, frozen, first))
                    found[f"{name}, then on"].append(desk.give("rollback", None, first, frozen))
            time.sleep(1.0)
    return {
        "rate": rate,
        **{name: _figures(those) for name, those in found.items() if those},
        "predictions": len(watch.predictions),
        "decisions": len(watch.reigns) - 1,
        "wrong": watch.wrong(),
    }


def _places(topology: Topology, connection: Connection, catalog: Catalog, times: int, aside: int) -> Iterator[int]:
    """That of the newest snapshot of the champion, as it is then; or half a snapshot before it."""
    for _ in range(times):
        shelf = asyncio.run(read_shelf(connection, topology, catalog.codec("models"), None))
        newest = max(start.position for start in shelf if start.header and start.header["model"] == topology.champion)
        yield max(0, newest - aside * topology.snapshots.every // 2)


async def _catalog(topology: Topology, connection: Connection) -> Catalog:
    store = open_store(topology.name, connection, None)
    try:
        return await read_catalog(topology, store)
    finally:
        await store.close()


def _figures(those: Sequence[Switch]) -> dict[str, Any]:
    steps = {
        "to_decided": [each.decided for each in those],
        "to_decision_there": [each.decision - each.decided for each in those],
        "from_decided_to_served": [each.served - each.decided for each in those],
        "to_prediction_there": [each.prediction - each.served for each in those],
    }
    return {
        "decision": quantiles([each.decision for each in those]),
        "prediction": quantiles([each.prediction for each in those]),
        "steps_ms": {name: round(median(values), 1) for name, values in steps.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--rate", type=int, default=1_000, help="events a second")
    parser.add_argument("--bootstrap", help="a broker that runs already")
    wanted = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        raise SystemExit("the worker's snapshots are opened here: start with PYTHONHASHSEED=0")
    with tempfile.TemporaryDirectory(prefix="streamml-bench-") as folder:
        broker = None if wanted.bootstrap else Broker(Path(folder), port=0, tied=True)
        bootstrap = wanted.bootstrap or (broker.up() if broker else "")
        try:
            print(json.dumps(switches(bootstrap, f"switching-{time.time_ns()}", wanted.times, wanted.rate)))
        finally:
            if broker is not None:
                broker.down()


if __name__ == "__main__":
    main()
