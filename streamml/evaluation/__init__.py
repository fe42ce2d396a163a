"""How good the predictions are, in the order of the log. Law: every figure stands beside what the simplest
baselines would have scored."""

from streamml.evaluation.prequential import Prequential
from streamml.evaluation.served import ServedPrequential
from streamml.evaluation.shadowed import ShadowedPrequential
from streamml.evaluation.slices import Slices

__all__ = ["Prequential", "ServedPrequential", "ShadowedPrequential", "Slices"]
