"""A value against a bound. Law: opened at the bound and closed well within it, so that a value that trembles there
gives one alert."""

from __future__ import annotations

from math import isfinite
from typing import Any, Literal

from streamml.drift.episode import Alert, Episode

Worse = Literal["above", "below"]


class Threshold:
    """Opens an episode when a value is worse than its bound; closes it after `calm` values in a row that are better
    than the bound by `margin` (a share of it). The alert is updated when the excess over the bound has doubled since it
    was last told.
    """

    def __init__(
        self, detector: str, kind: str, subject: str, advice: str, worse: Worse, margin: float, calm: int
    ) -> None:
        self._subject = subject
        self._advice = advice
        self._worse: Worse = worse
        self._sign = 1.0 if worse == "above" else -1.0
        self._margin = margin
        self._calm = calm
        self._episode = Episode(detector, kind)
        self._told = 0.0
        self._calmed = 0

    @classmethod
    def staleness(cls) -> Threshold:
        """Examples that the served model lies behind the head of the log, against `Serving.max_staleness`."""
        return cls(
            "staleness",
            "staleness",
            "the served model's distance from the head of the log, in examples,",
            "see whether its learn task runs and keeps up",
            worse="above",
            margin=0.1,
            calm=1,
        )

    @classmethod
    def quarantine_rate(cls) -> Threshold:
        """The share of the last events that were quarantined, against `Alerts.quarantine_rate`."""
        return cls(
            "quarantine_rate",
            "quarantine_rate",
            "the share of quarantined events",
            "the headers in the quarantine topic say why; check the producers",
            worse="above",
            margin=0.1,
            calm=1,
        )

    @classmethod
    def degradation(cls, metric: str) -> Threshold:
        """A window's served `metric` (`accuracy`, `mae`) against that of the no-change baseline."""
        return cls(
            "degradation",
            "degradation",
            f"the served {metric} of a window",
            "the no-change baseline does better; compare the models in the metrics topic",
            worse="below" if metric in ("accuracy", "kappa", "r2", "roc_auc") else "above",
            margin=0.0,
            calm=2,
        )

    @property
    def open(self) -> bool:
        """Whether an episode is under way."""
        return self._episode.open

    def feed(self, value: float | None, bound: float | None, position: int, now: int) -> list[Alert]:
        """Take in the next value and the bound that holds for it; what is absent or not finite is skipped.

        Args:
            position: of the value in what is watched; the alert's id is made from it.
            now: ms since the epoch.
        """
        if value is None or bound is None or not (isfinite(value) and isfinite(bound)):
            return []
        excess = self._sign * (value - bound)
        alert: Alert | None = None
        if excess > 0:
            self._calmed = 0
            if not self.open or excess >= 2 * self._told:
                self._told = excess
                message = f"{self._subject} is {value:.4g}, {self._worse} {bound:.4g}: {self._advice}"
                alert = self._episode.happen("raised", message, value, bound, position, now)
        elif self.open:
            self._calmed = self._calmed + 1 if -excess >= self._margin * abs(bound) else 0
            if self._calmed >= self._calm:
                self._calmed = 0
                message = f"{self._subject} is {value:.4g} again, not {self._worse} {bound:.4g}"
                alert = self._episode.happen("eased", message, value, bound, position, now)
        return [] if alert is None else [alert]

    def state(self) -> dict[str, Any]:
        """Plain types (also for JSON), for a snapshot or a changelog."""
        return {"told": self._told, "calmed": self._calmed, "episode": self._episode.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""
        self._told, self._calmed = state["told"], state["calmed"]
        self._episode.restore(state["episode"])
