"""What a challenger must show before it serves. Law: of two snapshots and the examples between them alone; only the
times that it takes depend on where it is measured."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import cycle, islice
from math import ceil
from typing import Any, NamedTuple

from streamml.agents.live import answer
from streamml.engine.starts import BEGINNING, Start, open_start
from streamml.errors import SnapshotError, StreammlError
from streamml.gates import problems_of
from streamml.models import Features, Fold, FoldError, Lineage, Output
from streamml.snapshots import Snapshot, loads
from streamml.topology import Limits, Target

Example = tuple[Any, Features]
"""(label, features) as `ExampleReader.learnable` gives it."""

ROWS = 500
"""The newest examples, on which predictions are compared and judged."""
_CALLS = 500
_WARM_UP = 100
_ROUNDS = 3
_P50, _P99 = ceil(0.50 * _CALLS) - 1, ceil(0.99 * _CALLS) - 1
_OFF = 1e-6
"""How far the probabilities of a row may be from 1 in sum."""


class Examination(NamedTuple):
    """`figures` is the evidence; it is empty where the examination came to no end, and the one problem says why."""

    figures: dict[str, float]
    problems: list[str]


class _Unfit(StreammlError):
    """The examination cannot go on."""


def examine(
    lineage: Lineage,
    target: Target,
    older: Snapshot | None,
    newer: Snapshot,
    examples: Iterable[Example],
    limits: Limits,
    clock: Callable[[], float],
) -> Examination:
    """Fold the lineage from `older` (None: from nothing) to `newer` once more, and look at what both say.

    `older` is one of the lineage or of one that agrees with it there; `examples` are those from its position on, more
    of them than are needed or not. `clock` is in seconds.

    The figures: `from_position`, `to_position`; of the newest `ROWS` examples at most `compared`, to which
    `different` answers were not the same to the last bit, a share `without_answer` got none, and `improper` answers
    have probabilities that are no distribution; `latency_p50` and `latency_p99` of a prediction in microseconds;
    `size` of the snapshot in bytes.
    """
    try:
        figures = _figures(lineage, target, older, newer, iter(examples), clock)
    except (SnapshotError, _Unfit) as error:
        return Examination({}, [str(error)])
    return Examination(figures, problems_of(figures, limits))


def _figures(
    lineage: Lineage,
    target: Target,
    older: Snapshot | None,
    newer: Snapshot,
    examples: Iterable[Example],
    clock: Callable[[], float],
) -> dict[str, float]:
    if newer.header["digest"] != lineage.digest:
        raise _Unfit(
            f"the snapshot at {newer.header['position']} is of the digest {newer.header['digest']}, "
            f"{lineage.name} has {lineage.digest}; examine one of its own"
        )
    start, end = BEGINNING if older is None else _start(older), newer.header["position"]
    again, _ = open_start(start, older, lineage, target)
    restored, _ = open_start(_start(newer), newer, lineage, target)
    _, _, skip = loads(newer.payload)
    rows = _fold_on(again, lineage, frozenset(skip), examples, end)
    answers = [answer(restored, x) for x in rows]
    different = sum(repr(answer(again, x)) != repr(said) for x, said in zip(rows, answers, strict=True))
    p50, p99 = _latency(restored, rows, clock) if rows else (0.0, 0.0)
    return {
        "from_position": float(start.position),
        "to_position": float(end),
        "compared": float(len(rows)),
        "different": float(different),
        "without_answer": sum(map(_silent, answers)) / len(rows) if rows else 0.0,
        "improper": float(sum(map(_improper, answers))),
        "latency_p50": p50,
        "latency_p99": p99,
        "size": float(len(newer.payload)),
    }


def _start(snapshot: Snapshot) -> Start:
    header = snapshot.header
    return Start(header["position"], header["offset"], header)


def _fold_on(
    fold: Fold, lineage: Lineage, skip: frozenset[int], examples: Iterable[Example], end: int
) -> Sequence[Features]:
    """Bring `fold` to `end`; the features of the last `ROWS` examples on the way.

    The positions in `skip` are those whose examples made the learner's model raise: they are no part of its fold.
    """
    rows: deque[Features] = deque(maxlen=ROWS)
    start = fold.position
    for y, x in islice(examples, max(0, end - start)):
        rows.append(x)
        if fold.position in skip or lineage.skips(fold.position):
            fold.position += 1
            continue
        try:
            fold.learn(x, y)
        except FoldError as error:
            raise _Unfit(f"folded again from {start}, it cannot learn what it had learned: {error}") from error
    if fold.position != end and start <= end:
        raise _Unfit(f"the log gave examples up to {fold.position}, and the snapshot has learned those up to {end}")
    return rows


def _latency(fold: Fold, rows: Sequence[Features], clock: Callable[[], float]) -> tuple[float, float]:
    """Median and 99th percentile (nearest rank) of `_CALLS` predictions, in microseconds.

    It is the quietest round: what else the machine is busy with is not the model's fault.
    """
    took: list[float] = []
    for x in islice(cycle(rows), _WARM_UP + _ROUNDS * _CALLS):
        before = clock()
        answer(fold, x)
        took.append(clock() - before)
    rounds = [sorted(took[at : at + _CALLS]) for at in range(_WARM_UP, len(took), _CALLS)]
    quietest = min(rounds, key=lambda ranked: ranked[_P99])
    return 1e6 * quietest[_P50], 1e6 * quietest[_P99]


def _silent(output: Output) -> bool:
    return output.get("label", output.get("value")) is None


def _improper(output: Mapping[str, Any]) -> bool:
    chances = output.get("probabilities", {}).values()
    return bool(chances) and not (min(chances) >= 0 and abs(sum(chances) - 1) <= _OFF)
