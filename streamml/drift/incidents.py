"""What must not happen at all, as an alert. Law: one episode, from the first incident until none came for a while."""

from __future__ import annotations

from typing import Any

from streamml.drift.episode import Alert, Episode


class Incidents:
    """Opens at the first incident, is updated when their number in the episode has doubled, and closes after `quiet`
    ms without another. `subject` and `advice` make the message."""

    def __init__(self, detector: str, kind: str, subject: str, advice: str, quiet: int) -> None:
        self._subject = subject
        self._advice = advice
        self._quiet = quiet
        self._episode = Episode(detector, kind)
        self._seen = 0
        self._count = 0
        self._told = 0
        self._last = 0

    @classmethod
    def snapshots(cls, topic: str) -> Incidents:
        """Snapshots of models that were refused as forged, altered or torn."""
        return cls(
            "snapshots",
            "snapshots",
            "refusals of forged, altered or torn snapshots of models, by each learner and each partition that serves",
            f"the logs were replayed instead, and the workers' own logs name them: see who may write to {topic}",
            quiet=600_000,
        )

    @property
    def open(self) -> bool:
        """Whether an episode is under way."""
        return self._episode.open

    def feed(self, count: int, now: int) -> list[Alert]:
        """So many incidents more, perhaps none, as of `now` (ms since the epoch); the alerts to write."""
        alert: Alert | None = None
        if count > 0:
            self._seen += count
            self._count = self._count + count if self.open else count
            self._last = now
            if not self.open or self._count >= 2 * self._told:
                self._told = self._count
                message = f"{self._count} {self._subject}: {self._advice}"
                alert = self._episode.happen("raised", message, self._count, None, self._seen, now)
        elif self.open and now - self._last >= self._quiet:
            message = f"none for {self._quiet // 60_000} minutes, after {self._count} {self._subject}"
            alert = self._episode.happen("eased", message, self._count, None, self._seen, now)
        return [] if alert is None else [alert]

    def state(self) -> dict[str, Any]:
        """Plain types, for a changelog."""
        held = {"seen": self._seen, "count": self._count, "told": self._told, "last": self._last}
        return {**held, "episode": self._episode.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""
        self._seen, self._count, self._told, self._last = (state[name] for name in ("seen", "count", "told", "last"))
        self._episode.restore(state["episode"])
