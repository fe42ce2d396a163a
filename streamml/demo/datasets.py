"""The streams that come with streamml, in their own order. Law: a row is a whole event of its topology, and its label.

Ids are row numbers. A stream whose rows bear no time gets one row each `step`, from `start` on.
"""

from __future__ import annotations

import csv
import gzip
import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from streamml.errors import StreammlError
from streamml.topology import Topology

_PACKAGE = Path(__file__).resolve().parent.parent
_HOMES = (_PACKAGE.parent / "data", _PACKAGE / "_shipped" / "data")
_START = datetime(2020, 1, 1, tzinfo=UTC)


class Row(NamedTuple):
    """An event under the names of its schema's fields, its label, and its time in ms since the epoch."""

    event: dict[str, Any]
    label: Any
    time: int


@dataclass(frozen=True)
class Dataset:
    """`file` is a CSV file among the data that are shipped, or what generates such lines.

    `label` and `time` name columns; `step` lies between two rows, of which there are `rows`. At `rate` rows a second
    two cores have time to spare for the models of its topology.
    """

    file: str | Callable[[], Iterator[Mapping[str, Any]]]
    label: str
    step: timedelta
    rows: int
    time: str | None = None
    start: datetime = _START
    rate: float = 2_000.0

    @property
    def step_ms(self) -> int:
        return int(self.step.total_seconds() * 1000)


def friedman() -> Iterator[dict[str, float]]:
    """Friedman's function #1 (1991) with unit noise; between the first and the last third, its inputs trade places.

    The change is Ikonomovska's "global recurring abrupt drift" (2010): the old function comes back.
    """
    draw = random.Random(42)
    for row in range(30_000):
        x = [draw.random() for _ in range(10)]
        a, b, c, d, e = x[5:] if 10_000 <= row < 20_000 else x[:5]
        y = 10 * math.sin(math.pi * a * b) + 20 * (c - 0.5) ** 2 + 10 * d + 5 * e + draw.gauss(0, 1)
        yield {**{f"x{i}": value for i, value in enumerate(x)}, "y": y}


DATASETS = {
    "electricity": Dataset("elec2.csv.gz", "class", timedelta(minutes=30), 45_312, time="timestamp"),
    "covertype": Dataset("covertype-50k.csv.gz", "Cover_Type", timedelta(minutes=1), 50_000, rate=1_000.0),
    "friedman": Dataset(friedman, "y", timedelta(seconds=1), 30_000),
}
"""By the name of the topology that declares them."""


def dataset_of(topology: str) -> Dataset:
    """The stream of a shipped topology, given by its name or file. Raises StreammlError if there is none."""
    dataset = DATASETS.get(Path(topology).stem)
    if dataset is None:
        known = ", ".join(DATASETS)
        raise StreammlError(f"no data come with {topology}: the demo plays {known}; `streamml produce` sends your own")
    return dataset


def rows(topology: Topology, schema: Mapping[str, Any], dataset: Dataset, count: int) -> list[Row]:
    """The first `count` rows as events of the record `schema` (the topology's), fewer if the stream is shorter.

    Raises:
        StreammlError: the schema has a field for which the stream has no column.
    """
    kinds = {field["name"]: _kind(field["type"]) for field in schema["fields"]}
    id, time = topology.events.id, topology.events.time
    read = {name: _READ[kind] for name, kind in kinds.items() if name not in (id, time)}
    label = _label(topology)
    found: list[Row] = []
    for number, line in enumerate(islice(_lines(dataset), count)):
        if lacking := [name for name in (*read, dataset.label) if name not in line]:
            raise StreammlError(f"the data of {topology.name} have no column {lacking[0]}: declare the shipped schema")
        at = _time(dataset, line, number)
        event = {name: read[name](line[name]) if name in read else at for name in kinds}
        event[id] = str(number) if kinds[id] == "string" else number
        found.append(Row(event, label(line[dataset.label]), at))
    return found


def _lines(dataset: Dataset) -> Iterator[Mapping[str, Any]]:
    if not isinstance(dataset.file, str):
        yield from dataset.file()
        return
    for home in _HOMES:
        if (home / dataset.file).is_file():
            with gzip.open(home / dataset.file, "rt", encoding="utf-8", newline="") as lines:
                yield from csv.DictReader(lines)
            return
    raise StreammlError(f"the shipped data file {dataset.file} is missing: install streamml again")


def _time(dataset: Dataset, line: Mapping[str, Any], number: int) -> int:
    if dataset.time is None:
        return int(dataset.start.timestamp() * 1000) + number * dataset.step_ms
    moment = datetime.fromisoformat(line[dataset.time])
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _kind(avro: Any) -> str:
    """The Avro type of a field, of a nullable one that of its value."""
    if isinstance(avro, list):
        return _kind(next(branch for branch in avro if branch != "null"))
    return _kind(avro["type"]) if isinstance(avro, Mapping) else str(avro)


_READ: dict[str, Callable[[Any], Any]] = {
    "double": float,
    "float": float,
    "long": int,
    "int": int,
    "string": str,
    "enum": str,
    "boolean": lambda text: str(text).lower() in ("1", "true"),
}


def _label(topology: Topology) -> Callable[[Any], Any]:
    """From a column to a label: the declared class that is written so, or a number."""
    classes = getattr(topology.target, "classes", None)
    if classes is None:
        return float
    by_text = {str(value): value for value in classes}
    return lambda text: by_text[str(text)]
