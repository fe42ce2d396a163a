"""What was learned: examples, models, and what they said. Law: an example is what was joined, a model is its log."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
from chaos import folds
from chaos.codes import code_of, id_of
from chaos.expected import Expected
from chaos.storm import WINDOW, unlearnable
from chaos.verdict import Read, Verdict, codes

from streamml import Topology
from streamml.engine.catalog import Catalog

_HEADER = 5
_SERVED = "served"

Served: TypeAlias = "Mapping[str, tuple[array[int], array[int], array[float]]]"
"""By model: the positions and the codes of its predictions, and their two probabilities one after the other."""


class Learned:
    """The part of the checker that goes through `examples` and `metrics`."""

    def __init__(
        self,
        topology: Topology,
        catalog: Catalog,
        expected: Expected,
        read: Read,
        say: Callable[[str], None],
        verdict: Verdict,
    ) -> None:
        self.topology = topology
        self.catalog = catalog
        self.expected = expected
        self.read = read
        self.say = say
        self.verdict = verdict

    def judge(self, bodies: dict[int, int], overtaken: Iterable[int], served: Served) -> None:
        """`bodies` has the hash of each example's body that was joined, by code; it is used up."""
        order, labels = codes(), array("b")
        doubled: list[int] = []
        altered: list[int] = []
        known = set[int]()
        for row in self.read("examples", None):
            code, value = code_of(row.key), row.value or b""
            if not self.expected.knows(code):
                altered.append(code)
                continue
            order.append(code)
            labels.append(value[_HEADER])
            wanted = bodies.pop(code, None)
            if wanted is None:
                (doubled if code in known else altered).append(code)
            elif wanted != hash(value[_HEADER:]):
                altered.append(code)
            known.add(code)
        for what, found in (("doubled", doubled), ("not what was joined", altered), ("lost", list(bodies))):
            if found:
                self.verdict.fail(f"examples: {len(found)} {what}", map(id_of, found))
        figures = self.verdict.figures
        figures["lost"] = figures.get("lost", 0) + len(bodies)
        figures["doubled"] = figures.get("doubled", 0) + len(doubled)
        figures["examples"] = len(order)
        rows = self.expected.rows(np.array(order, dtype=np.int64))
        self._promised(rows, np.array(labels), np.array(list(overtaken), dtype=np.int64))
        self._models(rows, labels, served)

    def _promised(self, rows: np.ndarray, labels: np.ndarray, overtaken: np.ndarray) -> None:
        """By the inputs alone: which events must have become examples, and with which label."""
        found = np.full(self.expected.count, -1, dtype=np.int8)
        found[rows] = labels
        promised = self.expected.label.copy()
        excused = self.expected.rows(overtaken)
        promised[excused] = found[excused]
        self.verdict.figures["overtaken by their stream"] = len(overtaken)
        differ = np.flatnonzero(found != promised)
        if len(differ):
            named = [self._named(int(row)) for row in differ[:100]]
            self.verdict.fail(f"examples: {len(differ)} are not what the inputs promise", named)

    def _models(self, rows: np.ndarray, labels: array[int], served: Served) -> None:
        models = [model.name for model in self.topology.models]
        losses = self._windows(models, len(rows))
        for stranger in served.keys() - set(models):
            self.verdict.fail(f"predictions name the model {stranger}, which there is not")
        compared, equal = 0, True
        for model in self.topology.models:
            self.say(f"folding {model.name} over {len(rows)} examples")
            found = folds.fold(
                model,
                self.topology.target,
                zip(rows.tolist(), map(bool, labels), strict=True),
                self._row,
                self._answers(served.get(model.name)),
                losses[model.name],
                unlearnable if model.build.__name__ == "frail" else lambda x: False,
            )
            compared += found.compared
            for what, which in (("other predictions than served", found.different), ("beyond the log", found.beyond)):
                if which:
                    self.verdict.fail(f"model {model.name}: {len(which)} {what}", map(self._named, which))
            if found.losses:
                self.verdict.fail(f"model {model.name}: {len(found.losses)} other losses, first at {found.losses[0]}")
            equal = equal and not (found.different or found.beyond or found.losses)
        self.verdict.figures |= {"predictions made again": compared, "models equal": equal}

    def _windows(self, models: list[str], count: int) -> dict[str, np.ndarray]:
        """The losses of each model by position, as `metrics` has them."""
        decode = self.catalog.codec("metrics").decode
        values = (decode(row.value) for row in self.read("metrics", None))
        wrong, losses = folds.windows(values, [*models, _SERVED], WINDOW)
        for line in wrong[:3]:
            self.verdict.fail(line)
        for name, held in losses.items():
            if len(held) // WINDOW != count // WINDOW:
                self.verdict.fail(f"metrics of {name}: {len(held) // WINDOW} windows of {count} positions")
        return losses

    def _row(self, row: int) -> dict[str, Any]:
        sent = self.expected
        return {"pressure": float(sent.pressure[row]), "temperature": float(sent.temperature[row])}

    def _answers(self, held: tuple[array[int], array[int], array[float]] | None) -> folds.Served | None:
        if held is None:
            return None
        answers = np.array(held[2]).reshape(-1, 2)
        rows = self.expected.rows(np.array(held[1], dtype=np.int64))
        return folds.Served(np.array(held[0], dtype=np.int64), rows, answers[:, 0], answers[:, 1])

    def _named(self, row: int) -> bytes:
        producer = max(n for n, first in enumerate(self.expected.first) if first <= row)
        return id_of(producer << 32 | row - self.expected.first[producer])
