"""The stream of the benchmarks: River's Phishing set, 1,250 rows of 9 numeric features, repeated under new ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle, islice
from typing import Any

from river import datasets, linear_model, preprocessing

FEATURES = tuple(sorted(next(iter(datasets.Phishing()))[0]))
START = 1_700_000_000_000
"""Event time of the first event, ms since the epoch; one event a millisecond."""

_MILLIS = {"type": "long", "logicalType": "timestamp-millis"}

EVENT: dict[str, Any] = {
    "type": "record",
    "name": "PhishingEvent",
    "namespace": "benchmarks",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "time", "type": _MILLIS},
        *({"name": name, "type": "double"} for name in FEATURES),
    ],
}
LABEL: dict[str, Any] = {
    "type": "record",
    "name": "PhishingLabel",
    "namespace": "benchmarks",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "is_phishing", "type": "boolean"},
        {"name": "time", "type": _MILLIS},
    ],
}


def rows(count: int) -> Iterator[tuple[dict[str, float], bool]]:
    """`count` rows: features as floats, keys sorted, each a new dict; and the label."""
    kept = [([float(x[name]) for name in FEATURES], bool(y)) for x, y in datasets.Phishing()]
    for values, label in islice(cycle(kept), count):
        yield dict(zip(FEATURES, values, strict=True)), label


def id_of(place: int) -> str:
    """The id of the event at `place` in the stream."""
    return f"e{place:08d}"


def model() -> Any:
    """The model that all peers serve and train."""
    return preprocessing.StandardScaler() | linear_model.LogisticRegression()


def quick() -> Any:
    """The same, with greater steps."""
    from river import optim

    return preprocessing.StandardScaler() | linear_model.LogisticRegression(optimizer=optim.SGD(0.1))


def adaptive_tree() -> Any:
    """A tree that replaces its branches when they go wrong (HAT)."""
    from river import tree

    return tree.HoeffdingAdaptiveTreeClassifier(seed=7)


def small_forest() -> Any:
    """An adaptive random forest of few trees (ARF)."""
    from river import forest

    return forest.ARFClassifier(n_models=3, seed=7)


BUILDS: dict[str, Callable[[], Any]] = {"lr": model, "quick": quick, "hat": adaptive_tree, "arf": small_forest}
"""The models that a benchmark can ask for. What only some of them need is imported when they are built: the memory of
the others is measured too."""
