"""The models, folded once over the log of examples. Law: an uninterrupted life says what every worker must have said.

Every served prediction is made again at its position and compared bit for bit; and so is the loss of every example, as
`metrics` has it for each model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from streamml import Model
from streamml.models import Fold
from streamml.models.fold import FoldError
from streamml.topology import Target

Row = dict[str, Any]
Rows = Callable[[int], Row]
"""From the number of an event to what a model sees of it."""


@dataclass
class Served:
    """The predictions that one model served, one array a field; a probability is NaN where there was no answer."""

    position: np.ndarray
    row: np.ndarray
    no: np.ndarray
    yes: np.ndarray


@dataclass
class Folded:
    """What came of a fold."""

    compared: int = 0
    different: list[int] = field(default_factory=list)
    """Rows whose prediction was another one."""
    beyond: list[int] = field(default_factory=list)
    """Rows predicted at a position that the log does not have."""
    losses: list[int] = field(default_factory=list)
    """Positions whose loss is not the one in `metrics`."""


def fold(
    model: Model,
    target: Target,
    examples: Sequence[tuple[int, bool]] | Iterator[tuple[int, bool]],
    rows: Rows,
    served: Served | None,
    losses: np.ndarray | None = None,
    skip: Callable[[Row], bool] = lambda x: False,
) -> Folded:
    """Fold `model` over `examples` ((row, label) in log order). `skip` tells which rows it cannot learn.

    `losses` has the 0-1 loss of each position so far as it was written, NaN where the model had no answer.
    """
    found, machine = Folded(), Fold.new(model, target)
    order = np.argsort(served.position, kind="stable") if served is not None else np.zeros(0, dtype=np.int64)
    asked = iter(order.tolist())
    next_ = next(asked, None)
    checks = len(losses) if losses is not None else 0
    position = 0

    def ask() -> None:
        nonlocal next_
        assert served is not None
        while next_ is not None and served.position[next_] == position:
            row = int(served.row[next_])
            no, yes = _answer(machine, rows(row))
            if not (_same(no, served.no[next_]) and _same(yes, served.yes[next_])):
                found.different.append(row)
            found.compared += 1
            next_ = next(asked, None)

    for row, label in examples:
        if next_ is not None:
            ask()
        x = rows(row)
        if position < checks:
            assert losses is not None
            no, yes = _answer(machine, x)
            loss = np.nan if no != no else float((yes > no) != label)
            if not _same(loss, losses[position]):
                found.losses.append(position)
        if skip(x):
            machine.position += 1
        else:
            machine.learn(x, label)
        position += 1
    if served is not None:
        ask()
        found.beyond = [int(served.row[n]) for n in ([next_] if next_ is not None else []) + list(asked)]
    return found


def _answer(machine: Fold, x: Row) -> tuple[float, float]:
    try:
        said = machine.predict(x)["probabilities"]
    except FoldError:
        said = {}
    return answer_of(said)


def answer_of(probabilities: Mapping[str, float]) -> tuple[float, float]:
    """(of False, of True); NaN and NaN where there is no answer."""
    if not probabilities:
        return np.nan, np.nan
    return probabilities.get("False", -1.0), probabilities.get("True", -1.0)


def _same(one: float, other: float) -> bool:
    """To the bit; every NaN is `no answer`."""
    return bool(one == other or (one != one and other != other))


def windows(
    values: Iterable[Mapping[str, Any]], models: Sequence[str], size: int
) -> tuple[list[str], dict[str, np.ndarray]]:
    """What is wrong with the windows of each model in `metrics`, and the losses of each from position 0 on."""
    wrong: list[str] = []
    losses: dict[str, list[float]] = {name: [] for name in models}
    for value in values:
        name = value["model"]
        if name not in losses:
            continue
        held, first = losses[name], value["first_position"]
        if (value["window"] * size, value["count"], first) != (first, size, len(held)):
            wrong.append(f"metrics of {name}: window {value['window']} from position {first}, expected {len(held)}")
            continue
        held += [np.nan if loss is None else loss for loss in value["losses"]]
    return wrong, {name: np.array(held) for name, held in losses.items()}
