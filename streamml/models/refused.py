"""Parts of River 0.26.1 that cannot be in a fold, as measured. Law: each has its reason and a way out."""

from __future__ import annotations

from typing import NamedTuple


class Refusal(NamedTuple):
    """`part`: `module:class`, for it and its subclasses. `inside`: only where the part is held by one of this class."""

    part: str
    reason: str
    fix: str
    inside: str | None = None


_DRAWS = "draws random numbers when it predicts"
_ORDER = "its result follows the order of a hash table"
_FIRST_SEEN = "predicting an unseen key changes it"
_GROWS = "it grows without bound"
_SUPERVISED = "use a classifier or regressor on the features themselves"

REFUSED = (
    Refusal("river.active.entropy:EntropySampler", _DRAWS, "declare the classifier inside it alone"),
    Refusal("river.multioutput.chain:MonteCarloClassifierChain", _DRAWS, "use a classifier of one label"),
    Refusal("river.feature_selection.random:PoissonInclusion", _DRAWS, "use feature_selection.VarianceThreshold"),
    Refusal("river.reco.base:Ranker", _FIRST_SEEN, "use a regressor over declared features"),
    Refusal("river.facto.base:BaseFM", _FIRST_SEEN, "use a linear model on one-hot encoded features"),
    Refusal("river.preprocessing.lda:LDA", "learns when it transforms", "transform text before the events topic"),
    Refusal("river.anomaly.pad:PredictiveAnomalyDetection", "learns when it scores", "use anomaly.QuantileFilter"),
    Refusal(
        "river.neighbors.ann.swinn:SWINN",
        "searching moves its random generator",
        "give the model engine=neighbors.LazySearch(...)",
    ),
    Refusal("river.cluster.k_means:KMeans", _ORDER, _SUPERVISED),
    Refusal("river.cluster.clustream:CluStream", _ORDER, _SUPERVISED),
    Refusal("river.cluster.streamkmeans:STREAMKMeans", "its inner KMeans cannot be seeded", _SUPERVISED),
    Refusal("river.multiclass.ovo:OneVsOneClassifier", _ORDER, "use multiclass.OneVsRestClassifier"),
    Refusal("river.sketch.set:Set", _ORDER, "use stats.NUnique"),
    Refusal("river.sketch.counter:Counter", _ORDER, "use stats.NUnique, or counts in the transform"),
    Refusal(
        "river.neighbors.base:BaseNN",
        _ORDER,
        "use BaggingClassifier or LeveragingBaggingClassifier",
        inside="river.ensemble.bagging:ADWINBaggingClassifier",
    ),
    Refusal(
        "river.feature_extraction.kernel_approx:RandomTreesEmbedding",
        "it is broken by a restart (its state is keyed by addresses)",
        "use feature_extraction.RBFSampler",
    ),
    Refusal("river.rules.amrules:AMRules", "its rules are keyed by addresses", "use tree.HoeffdingTreeRegressor"),
    Refusal("river.forest.aggregated_mondrian_forest:AMFClassifier", _GROWS, "use forest.ARFClassifier"),
    Refusal("river.forest.aggregated_mondrian_forest:AMFRegressor", _GROWS, "use forest.ARFRegressor"),
    Refusal("river.tree.mondrian.mondrian_tree:MondrianTree", _GROWS, "use a Hoeffding tree"),
)
