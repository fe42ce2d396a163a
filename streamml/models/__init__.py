"""Models as folds over the examples log. Law: the same specification and examples give the same answers."""

from streamml.models.build import digest_of
from streamml.models.check import check_model
from streamml.models.fold import Features, Fold, FoldError, Output, SpentError
from streamml.models.lineage import MARK, Lineage, united

__all__ = [
    "MARK",
    "Features",
    "Fold",
    "FoldError",
    "Lineage",
    "Output",
    "SpentError",
    "check_model",
    "digest_of",
    "united",
]
