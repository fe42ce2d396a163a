"""Will the electricity price rise above the mean of the last day? New South Wales, every half hour (Elec2).

The answer is known a day later, so yesterday's is the last one that a model can go by.
"""

from datetime import timedelta
from functools import partial

from river import drift, linear_model, preprocessing, tree

from streamml import (
    Alerts,
    Classification,
    ErrorDrift,
    Events,
    FeatureDrift,
    Feedback,
    Model,
    Range,
    Topology,
    Transform,
)

SCALED = ("period", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")


def logistic() -> object:
    return preprocessing.StandardScaler() | linear_model.LogisticRegression()


def adaptive_tree() -> object:
    return tree.HoeffdingAdaptiveTreeClassifier()


topology = Topology(
    name="electricity",
    partitions=1,
    events=Events("elec2.event", id="id", time="timestamp"),
    rules=(Range("day", 1, 7), *(Range(name, 0, 1) for name in SCALED)),
    transform=Transform("day", *SCALED),
    target=Classification("DOWN", "UP"),
    models=(Model("lr", logistic), Model("hat", adaptive_tree)),
    feedback=Feedback("elec2.label", id="id", label="class", time="time", horizon=timedelta(days=7)),
    # Half hours are like their neighbours: at the usual confidence of 0.002 each week would be a drift.
    detectors=(
        ErrorDrift("error", partial(drift.ADWIN, delta=1e-9), quiet=48 * 14),
        FeatureDrift("price", "nswprice", partial(drift.ADWIN, delta=1e-9), quiet=48 * 14),
    ),
    alerts=Alerts(quarantine_rate=0.01),
)
