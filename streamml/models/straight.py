"""River's pipelines, run straight through. Law: the calls of River's own `Pipeline`, in its order, and no others.

River looks up anew for each row what each step is and which keyword arguments it takes; of rows that come without any,
that is a sixth of the time of a scaler and a linear model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from river import base, compose


class Straight(NamedTuple):
    """What a fold calls of a model."""

    learn_one: Callable[[Any, Any], None]
    predict_one: Callable[[Any], Any]
    predict_proba_one: Callable[[Any], Any]


def straight(river: Any) -> Any:
    """A `Straight` of a pipeline that is nothing but transformers one after the other, and a model behind them; all
    else as it is."""
    if type(river) is not compose.Pipeline:
        return river
    *before, last = river.steps.values()
    if not all(map(_is_plain, before)) or isinstance(last, base.Transformer | base.AnomalyFilter):
        return river
    if not hasattr(last, "predict_one"):
        return river
    transforms = tuple(step.transform_one for step in before)
    stages = tuple((step.learn_one, step.transform_one, step._supervised) for step in before)
    learn, supervised = last.learn_one, last._supervised

    def learn_one(x: Any, y: Any) -> None:
        for fit, transform, is_supervised in stages:
            if is_supervised:
                raw, x = x, transform(x)
                fit(x=raw, y=y)
            else:
                fit(x)
                x = transform(x)
        if supervised:
            learn(x=x, y=y)
        else:
            learn(x=x)

    # A regressor gives no probabilities: what River says then is said here.
    weigh = getattr(last, "predict_proba_one", None)
    return Straight(
        learn_one,
        _behind(transforms, last.predict_one),
        river.predict_proba_one if weigh is None else _behind(transforms, weigh),
    )


def _behind(transforms: Sequence[Callable[[Any], Any]], answer: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What `answer` says of a row that has gone through all `transforms`."""

    def answered(x: Any) -> Any:
        for transform in transforms:
            x = transform(x)
        return answer(x)

    return answered


def _is_plain(step: Any) -> bool:
    return isinstance(step, base.Transformer) and not isinstance(step, compose.TransformerUnion | base.AnomalyFilter)
