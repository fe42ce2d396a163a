"""How good the served predictions were, counted by hand. Law: plain loops over the log, so that they check the
evaluation that the plane itself uses.

A prediction made at position p had the first p labels of the examples behind it. So the no-change baseline answers with
the label at p - 1, and the prior with the most frequent class, or the mean, of the first p labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streamml.topology import Classification, Target


@dataclass(frozen=True)
class Score:
    """`metric` is `accuracy` or `mae` (mean absolute error), over the `scored` examples whose model had an answer.

    A baseline is scored over those of them for which a label was known. None where nothing could be scored.
    """

    metric: str
    scored: int
    model: float | None
    no_change: float | None
    prior: float | None


@dataclass(frozen=True)
class Served:
    """One example as it is scored: the label, what had been predicted, and at which position of the model."""

    label: Any
    output: Mapping[str, Any]
    position: int


def metric_of(target: Target) -> str:
    """The one figure that stands for the quality of a model."""
    return "accuracy" if isinstance(target, Classification) else "mae"


def loss_of(target: Target, answer: Any, label: Any) -> float | None:
    """0 or 1 for a class, the absolute error for a number, None without an answer."""
    if answer is None:
        return None
    return float(answer != label) if isinstance(target, Classification) else abs(answer - label)


def losses_of(target: Target, served: Sequence[Served]) -> list[float | None]:
    """The loss of each served prediction."""
    key = "label" if isinstance(target, Classification) else "value"
    return [loss_of(target, one.output[key], one.label) for one in served]


def score(target: Target, served: Sequence[Served]) -> Score:
    """The served predictions beside both baselines; `served` holds every example of the log, in its order."""
    labels = [one.label for one in served]
    priors = list(_priors(target, labels))
    losses = losses_of(target, served)
    rows = [one for one, loss in zip(served, losses, strict=True) if loss is not None and one.position > 0]
    metric = metric_of(target)
    return Score(
        metric,
        sum(loss is not None for loss in losses),
        _figure(metric, losses),
        _figure(metric, [loss_of(target, labels[one.position - 1], one.label) for one in rows]),
        _figure(metric, [loss_of(target, priors[one.position], one.label) for one in rows]),
    )


def _figure(metric: str, losses: Sequence[float | None]) -> float | None:
    known = [loss for loss in losses if loss is not None]
    if not known:
        return None
    mean = sum(known) / len(known)
    return 1 - mean if metric == "accuracy" else mean


def _priors(target: Target, labels: Sequence[Any]) -> Iterator[Any]:
    """What the prior says after 0, 1, 2, … labels; of equally frequent classes the one declared first."""
    yield None
    if not isinstance(target, Classification):
        total = 0.0
        for count, label in enumerate(labels, 1):
            total += label
            yield total / count
        return
    counts = dict.fromkeys(target.classes, 0)
    for label in labels:
        counts[label] += 1
        yield max(counts, key=counts.__getitem__)
