"""What the full loop costs beside what one would write by hand: CPU microseconds per event, and end-to-end latency.

    python benchmarks/full_loop.py [--events N] [--rounds N] [--rate N] [--seconds S] [--bootstrap HOST:PORT]

One linear model on nine numeric features, Avro, exactly once, labels 1,000 events late. Three peers take turns, so
that a machine that slows down slows all of them: River alone, a transactional aiokafka loop with a join in a dict
(no features or examples kept, no recovery of the join or the model), and all of streamml. Then, at a fixed rate, the
time from an event's producer to its prediction in the hands of a read_committed consumer. Prints one line of JSON.
There are enough events that what a worker costs by the second (heartbeats, timers, the looks at its metrics; 11 ms)
hardly counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.latency import latency  # noqa: E402  # the path must be set first
from benchmarks.load import fill  # noqa: E402
from benchmarks.worker import worker  # noqa: E402
from streamml.broker import Broker  # noqa: E402

DELAY = 1_000


def river(events: int) -> dict[str, Any]:
    """The floor."""
    return _peer("peer_river.py", "--events", str(events))


def by_hand(bootstrap: str, app: str, events: int) -> dict[str, Any]:
    """The hand-written loop, over topics that were filled before."""
    fill(bootstrap, app, events, DELAY)
    return _peer("peer_aiokafka.py", "--bootstrap", bootstrap, "--app", app, "--events", str(events))


def streamml(bootstrap: str, app: str, events: int) -> dict[str, Any]:
    """The worker's CPU time from the first event to the last example learned and looked at, its start-up left out; as
    for the hand-written loop the topics are filled before, so that no producer has the other half of a core."""
    with worker(bootstrap, app) as here:
        with here.held():
            fill(bootstrap, app, events, DELAY)
        before = here.cpu_seconds()
        here.wait("the last example", lambda: here.figure("streamml_model_position", model="lr") >= events)
        here.wait("the end of all topics", lambda: here.figure("streamml_lag_records") == 0)
        used = here.cpu_seconds() - before
        return {
            "peer": "streamml",
            "events": events,
            "cpu_us_per_event": round(1e6 * used / events, 3),
            "learned": int(here.figure("streamml_model_position", model="lr")),
            "memory_mib": round(here.memory_mib(), 1),
        }


def _peer(script: str, *arguments: str) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "benchmarks" / script), *arguments]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def compare(bootstrap: str, events: int, rounds: int) -> dict[str, Any]:
    """The peers in turn, `rounds` times; medians and ratios within each round."""
    cpu: dict[str, list[float]] = {"river": [], "by_hand": [], "streamml": []}
    for number in range(rounds):
        turn = {
            "river": river(events),
            "by_hand": by_hand(bootstrap, f"by-hand-{number}", events),
            "streamml": streamml(bootstrap, f"full-{number}", events),
        }
        for peer, found in turn.items():
            cpu[peer].append(found["cpu_us_per_event"])
            print(f"round {number + 1}: {peer} {json.dumps(found)}", file=sys.stderr)
    ratios = [full / hand for full, hand in zip(cpu["streamml"], cpu["by_hand"], strict=True)]
    return {
        "events": events,
        "rounds": rounds,
        "cpu_us_per_event": {peer: median(figures) for peer, figures in cpu.items()},
        "ratio_to_by_hand": round(median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=int, default=1_000, help="events a second for the latency")
    parser.add_argument("--seconds", type=int, default=20, help="how long to measure the latency; 0 leaves it out")
    parser.add_argument("--bootstrap", help="a broker that runs already")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="streamml-bench-") as folder:
        broker = None if wanted.bootstrap else Broker(Path(folder), port=0, tied=True)
        bootstrap = wanted.bootstrap or (broker.up() if broker else "")
        try:
            found = compare(bootstrap, wanted.events, wanted.rounds) if wanted.rounds else {}
            if wanted.seconds:
                found["latency"] = latency(bootstrap, "latency", wanted.rate, wanted.seconds)
        finally:
            if broker is not None:
                broker.down()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
