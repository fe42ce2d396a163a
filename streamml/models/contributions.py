"""What led a model to an answer, where its kind can say so. Law: read off the model as it is, nothing is fitted.

A linear model (alone, one for each class, or behind a pipeline) shows the terms of its sum over the features that reach
it; a Hoeffding tree shows the path to the leaf. Any other model shows nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from river import compose, linear_model, multiclass
from river.linear_model.base import GLM
from river.linear_model.pa import BasePA
from river.tree.hoeffding_tree import HoeffdingTree
from river.tree.nodes.branch import DTBranch

from streamml.models.fold import Features, Fold

_Name = Callable[[Any], str]


@dataclass(frozen=True)
class Term:
    """One feature as it reached the model, behind all transformers, times its weight."""

    feature: str
    value: float
    weight: float
    contribution: float


@dataclass(frozen=True)
class Score:
    """A linear sum: its terms, the largest first. `of` is the class that a high score speaks for, None for a number."""

    of: str | None
    terms: tuple[Term, ...]
    intercept: float
    total: float


@dataclass(frozen=True)
class Turn:
    """A branch of a tree: the test that the row passed, and its value, None where it has no such feature."""

    feature: str
    value: str | float | None
    test: str


@dataclass(frozen=True)
class Linear:
    """The sums from which the answer follows."""

    scores: tuple[Score, ...]
    kind: Literal["linear"] = "linear"


@dataclass(frozen=True)
class Path:
    """The way down to the leaf: the weight that it has learned, by class where there are classes.

    `alternates` counts the branches on the way beside which another subtree is growing, whose answer counts too.
    """

    turns: tuple[Turn, ...]
    weight: float
    classes: Mapping[str, float]
    alternates: int
    kind: Literal["tree"] = "tree"


Contributions = Linear | Path


def contributions(fold: Fold, x: Features) -> Contributions | None:
    """What leads the model to its answer for `x`; None where it shows nothing. Changes no answer."""
    names: Mapping[Any, str] = dict(getattr(fold, "_names", ()))
    model, reached = _behind(fold._model, dict(x))
    scores = tuple(_scores(model, reached, lambda code: names.get(code, str(code)), bool(names)))
    if scores:
        return Linear(scores)
    if isinstance(model, HoeffdingTree) and model._root is not None:
        return _path(model._root, reached, names)
    return None


def _behind(model: Any, x: Any) -> tuple[Any, Any]:
    """The last step of nested pipelines, and what reaches it of the row `x`."""
    while isinstance(model, compose.Pipeline):
        x, model = model.transform_one(x), next(reversed(model.steps.values()))
    return model, x


def _scores(model: Any, x: Any, name: _Name, classifies: bool) -> Iterator[Score]:
    if isinstance(model, GLM | BasePA):
        # A binary one answers with the probability, or the sign, of its class 1.
        yield _score(name(1) if classifies else None, model.weights, float(model.intercept), x)
    elif isinstance(model, linear_model.SoftmaxRegression):
        for code, weights in sorted(model.weights.items()):
            yield _score(name(code), weights, 0.0, x)
    elif isinstance(model, multiclass.OneVsRestClassifier):
        for code, inner in sorted(model.classifiers.items()):
            part, reached = _behind(inner, x)
            if not isinstance(part, GLM | BasePA):
                return
            yield _score(name(code), part.weights, float(part.intercept), reached)


def _score(of: str | None, weights: Mapping[Any, float], intercept: float, x: Mapping[Any, Any]) -> Score:
    terms = [
        Term(str(feature), float(value), float(weight), float(value * weight))
        for feature, value in x.items()
        for weight in (weights.get(feature, 0.0),)
    ]
    total = sum((term.contribution for term in terms), intercept)
    return Score(of, tuple(sorted(terms, key=lambda term: -abs(term.contribution))), intercept, total)


def _branches(node: Any) -> bool:
    return isinstance(node, DTBranch)


def _path(node: Any, x: Mapping[str, Any], names: Mapping[Any, str]) -> Path:
    turns: list[Turn] = []
    alternates = 0
    while _branches(node):
        try:
            index = node.branch_no(x)
        except KeyError:  # No such feature, or a value that no branch is for: as River goes on itself.
            index, _ = node.most_common_path()
        value = x.get(node.feature)
        turns.append(Turn(str(node.feature), value, node.repr_branch(index)))
        alternates += getattr(node, "_alternate_tree", None) is not None
        node = node.children[index]
    seen: Iterable[tuple[Any, Any]] = node.stats.items() if names and isinstance(node.stats, Mapping) else ()
    classes = {names.get(code, str(code)): float(weight) for code, weight in sorted(seen)}
    return Path(tuple(turns), float(node.total_weight), classes, alternates)
