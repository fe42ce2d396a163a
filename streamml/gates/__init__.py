"""Whether a challenger is better than the champion. Law: the answer holds whenever it is looked at, after each window
if one likes, and follows from the results of the two alone."""

from streamml.gates.confidence import ConfidenceSequence
from streamml.gates.eprocess import EProcess
from streamml.gates.limits import problems_of
from streamml.gates.race import Race
from streamml.gates.results import Results
from streamml.gates.shares import share

__all__ = ["ConfidenceSequence", "EProcess", "Race", "Results", "problems_of", "share"]
