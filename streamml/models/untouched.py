"""Models that take shape at the first row they see. Law: at position 0 a prediction leaves no trace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from streamml.snapshots.allowed import class_path
from streamml.snapshots.reachable import reachable

_SHAPED_BY_THE_FIRST_ROW = frozenset(
    (
        "river.forest.adaptive_random_forest:BaseForest",
        "river.forest.online_extra_trees:ExtraTrees",
        "river.ensemble.streaming_random_patches:BaseSRPEnsemble",
    )
)


def is_shaped_by_first_row(river: Any) -> bool:
    """Whether predicting with the untrained `river` shapes it.

    These forests build their trees for as many features as the first row has, even if that row is only predicted. Where
    features are optional, the log alone could not tell what the forest looks like.
    """
    return any(
        class_path(cls) in _SHAPED_BY_THE_FIRST_ROW for _, part in reachable(river) for cls in type(part).__mro__
    )


class Untouched:
    """Stands in for a model until it learns: each prediction is made by another fresh build."""

    def __init__(self, river: Any, build: Callable[[], Any], begin: Callable[[Any], None]) -> None:
        self._river = river
        self._build = build
        self._begin = begin

    def predict_one(self, x: dict[str, Any]) -> Any:
        return self._build().predict_one(x)

    def predict_proba_one(self, x: dict[str, Any]) -> Mapping[Any, float]:
        votes: Mapping[Any, float] = self._build().predict_proba_one(x)
        return votes

    def learn_one(self, x: dict[str, Any], y: Any) -> None:
        self._begin(self._river)
        self._river.learn_one(x, y)
