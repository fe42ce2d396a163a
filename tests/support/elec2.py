"""The first rows of Elec2 as events and labels of the shipped topology, and what River alone makes of them."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from streamml import Topology

DATA = Path(__file__).resolve().parents[2] / "data" / "elec2.csv.gz"
HALF_HOUR = 30 * 60 * 1000


class Row(NamedTuple):
    """One half hour: the event, its label, and the model's input."""

    event: dict[str, Any]
    label: str
    x: dict[str, float]


def rows(count: int) -> Iterator[Row]:
    """The first `count` rows, in their order."""
    with gzip.open(DATA, "rt", newline="") as file:
        for number, line in enumerate(islice(csv.DictReader(file), count)):
            label, at = line.pop("class"), line.pop("timestamp")
            time = int(datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp() * 1000)
            x = {name: float(line[name]) for name in sorted(line)}
            event = {"id": str(number), "timestamp": time, **x, "day": int(line["day"])}
            yield Row(event, label, x)


def label_of(row: Row, delay: int) -> dict[str, Any]:
    """The feedback record of a row, known `delay` rows later."""
    time = row.event["timestamp"] + delay * HALF_HOUR
    return {"id": row.event["id"], "class": row.label, "time": time}


def river_alone(topology: Topology, count: int, delay: int) -> list[dict[str, Any]]:
    """What River's own champion says, where the label of row i is learned right before row i + `delay` is predicted."""
    model = topology.models[0].build()
    stream = list(rows(count))
    outputs = []
    for number, row in enumerate(stream):
        if number >= delay:
            earlier = stream[number - delay]
            model.learn_one(earlier.x, earlier.label == "UP")
        chances = model.predict_proba_one(row.x)
        label = "UP" if chances[True] > chances[False] else "DOWN"
        outputs.append({"label": label, "probabilities": {"DOWN": chances[False], "UP": chances[True]}})
    return outputs
