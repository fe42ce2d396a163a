"""Who notices that something has changed. Law: one alert per episode, opened, updated seldom, and closed; never one a
record."""

from streamml.drift.build import build_detector
from streamml.drift.check import check_detector
from streamml.drift.episode import Episode
from streamml.drift.incidents import Incidents
from streamml.drift.threshold import Threshold
from streamml.drift.watch import Watch

__all__ = ["Episode", "Incidents", "Threshold", "Watch", "build_detector", "check_detector"]
