"""How good the predictions are, in the order of the log. Law: every figure stands beside what the simplest
baselines would have scored."""

from streamml.evaluation.prequential import Prequential
from streamml.evaluation.served import ServedPrequential

__all__ = ["Prequential", "ServedPrequential"]
