"""Elec2 through the whole topology, row by row, with labels `delay` rows late: the accuracy as served.

    python benchmarks/elec2.py [--delay ROWS] [--rows N]

The label of row i is learned right before row i + delay is predicted, as in the reference figures of data/README.md.
Runs on the Driver, whose examples are byte-identical to Kafka's (tests/stories/test_elec2.py). Prints one JSON line.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import sys
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from streamml import load_topology  # noqa: E402  # the path must be set first
from streamml.testing import Driver  # noqa: E402

HALF_HOUR = 30 * 60 * 1000


def served_accuracy(delay: int, rows: int | None) -> dict[str, float | int]:
    """The share of served predictions that were right, and the prequential accuracy at the end."""
    driver = Driver(load_topology("electricity"))
    pending: list[tuple[str, str, int]] = []
    labels: list[str] = []
    with gzip.open(ROOT / "data" / "elec2.csv.gz", "rt", newline="") as file:
        for number, row in enumerate(islice(csv.DictReader(file), rows)):
            label, at = row.pop("class"), row.pop("timestamp")
            time = int(datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp() * 1000)
            if number >= delay:
                name, answer, then = pending[number - delay]
                driver.produce("feedback", {"id": name, "class": answer, "time": then + delay * HALF_HOUR})
                driver.run()
            values = {name: float(value) for name, value in row.items()}
            event = {"id": str(number), "timestamp": time, **values, "day": int(row["day"])}
            driver.produce("events", event)
            driver.run()
            pending.append((str(number), label, time))
            labels.append(label)
    predictions = driver.read("predictions")
    right = sum(said["output"]["label"] == label for said, label in zip(predictions, labels, strict=True))
    windows = [metric for metric in driver.read("metrics") if metric["model"] == "lr"]
    return {
        "rows": len(labels),
        "delay": delay,
        "served_accuracy": round(right / len(labels), 6),
        "prequential_accuracy": round(windows[-1]["cumulative"]["accuracy"], 6) if windows else 0.0,
        "prequential_examples": windows[-1]["first_position"] + windows[-1]["count"] if windows else 0,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--delay", type=int, default=48)
    parser.add_argument("--rows", type=int)
    wanted = parser.parse_args()
    print(json.dumps(served_accuracy(wanted.delay, wanted.rows)))


if __name__ == "__main__":
    main()
