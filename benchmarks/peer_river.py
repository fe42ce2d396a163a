"""River alone, the floor: predict, hold the features, learn them `delay` events later. In memory, without a broker or a
byte.

    python benchmarks/peer_river.py [--events N] [--delay N]

Prints one line of JSON; `cpu_us_per_event` is the CPU time of the loop.
"""

from __future__ import annotations

import argparse
import json
import time

from benchmarks.phishing import id_of, model, rows


def run(events: int, delay: int) -> dict[str, object]:
    """Predict each of `events` events and learn each of them."""
    river = model()
    stream = [(id_of(place), x, y) for place, (x, y) in enumerate(rows(events))]
    held: dict[str, dict[str, float]] = {}
    right = learned = 0
    cpu, wall = time.process_time(), time.monotonic()
    for place, (name, x, y) in enumerate(stream):
        right += (river.predict_proba_one(x)[True] > 0.5) == y
        held[name] = x
        if place >= delay:
            known, _, answer = stream[place - delay]
            river.learn_one(held.pop(known), answer)
            learned += 1
    for name, _, answer in stream[max(0, events - delay) :]:
        river.learn_one(held.pop(name), answer)
        learned += 1
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    return {
        "peer": "river",
        "events": events,
        "cpu_us_per_event": round(1e6 * cpu / events, 3),
        "events_per_second": round(events / wall),
        "learned": learned,
        "accuracy": round(right / events, 6),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--delay", type=int, default=1_000)
    wanted = parser.parse_args()
    print(json.dumps(run(wanted.events, wanted.delay)))


if __name__ == "__main__":
    main()
