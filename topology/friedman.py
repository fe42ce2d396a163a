"""A function of ten numbers, of which five matter, and which changes twice without notice (Friedman, with drift).

Regression on synthetic data: the old function comes back at the second change.
"""

from datetime import timedelta
from functools import partial

from river import drift, linear_model, preprocessing, tree

from streamml import ErrorDrift, Events, EventTime, Feedback, Model, Range, Regression, Topology, Transform

INPUTS = [f"x{i}" for i in range(10)]


def adaptive_tree() -> object:
    return tree.HoeffdingAdaptiveTreeRegressor()


def linear() -> object:
    return preprocessing.StandardScaler() | linear_model.LinearRegression()


topology = Topology(
    name="friedman",
    partitions=2,
    events=Events("friedman.event", id="id", time="time"),
    rules=(EventTime(max_ahead=timedelta(minutes=5)), *(Range(name, 0, 1) for name in INPUTS)),
    transform=Transform(*INPUTS),
    target=Regression(),
    models=(Model("tree", adaptive_tree), Model("linear", linear)),
    feedback=Feedback("friedman.label", id="id", label="y", time="time", horizon=timedelta(hours=1)),
    # Page-Hinkley looks for a rise alone: that the error falls while the tree learns anew is no alert.
    detectors=(ErrorDrift("error", partial(drift.PageHinkley, mode="up", delta=0.1, threshold=100.0)),),
)
