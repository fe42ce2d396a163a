"""A burst of events that comes much faster than it is worked off: does memory stay flat?

    python benchmarks/burst.py [--events N] [--bootstrap HOST:PORT]

All events and labels are in the topics before the worker has looked at a tenth of them. Prints one line of JSON: the
worker's resident memory (MiB) when it was ready, its median over each fifth of the time that it took to work all off,
and events a second.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.load import fill  # noqa: E402  # the path must be set first
from benchmarks.worker import worker  # noqa: E402
from streamml.broker import Broker  # noqa: E402

DELAY = 1_000


def burst(bootstrap: str, app: str, events: int) -> dict[str, Any]:
    """Fill the topics of a worker that is ready, and watch it."""
    with worker(bootstrap, app) as here:
        ready, samples, done = here.memory_mib(), [], threading.Event()

        def watch() -> None:
            while not done.wait(0.2):
                samples.append(here.memory_mib())

        watching = threading.Thread(target=watch)
        watching.start()
        started = time.monotonic()
        try:
            produced = fill(bootstrap, app, events, DELAY)
            here.wait("the last example", lambda: here.figure("streamml_model_position", model="lr") >= events)
            here.wait("the end of all topics", lambda: here.figure("streamml_lag_records") == 0)
        finally:
            done.set()
            watching.join()
        seconds = time.monotonic() - started
        fifth = max(1, len(samples) // 5)
        return {
            "events": events,
            "produced_in_s": round(produced, 1),
            "worked_off_in_s": round(seconds, 1),
            "events_per_s": round(events / seconds),
            "rss_ready_mib": round(ready),
            "rss_by_fifth_mib": [round(median(samples[at : at + fifth])) for at in range(0, 5 * fifth, fifth)],
            "rss_highest_mib": round(max(samples)),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--bootstrap", help="a broker that runs already")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="streamml-bench-") as folder:
        broker = None if wanted.bootstrap else Broker(Path(folder), port=0, tied=True)
        bootstrap = wanted.bootstrap or (broker.up() if broker else "")
        try:
            print(json.dumps(burst(bootstrap, f"burst-{time.time_ns()}", wanted.events)))
        finally:
            if broker is not None:
                broker.down()


if __name__ == "__main__":
    main()
