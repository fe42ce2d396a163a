"""A River drift detector at work. Law: the alerts are a function of the values in their order, not of how they came in
batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from streamml.drift.build import build_detector
from streamml.drift.episode import Alert, Episode
from streamml.errors import SnapshotError
from streamml.snapshots import allow, dumps, loads
from streamml.snapshots.structure import canonical
from streamml.topology import Detector, FeatureDrift

_RECENT = 50
"""Values that "now" is the mean of in a message."""


class Watch:
    """One declared detector: its first detection opens an episode, `quiet` records without another one close it.

    Further detections in between are counted; the alert is updated when their number doubles, so an episode of n
    detections has at most log2(n) updates.
    """

    def __init__(self, detector: Detector) -> None:
        """Raises: DeclarationError, see `build_detector`."""
        self._declared = detector
        self._river = build_detector(detector)
        self._spec = canonical(self._river)
        self._episode = Episode(detector.name, "drift")
        self._position = 0
        self._last = 0
        self._detections = 0
        self._told = 0
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._count = 0
        self._sum = 0.0

    @property
    def open(self) -> bool:
        """Whether an episode is under way."""
        return self._episode.open

    @property
    def position(self) -> int:
        """Records fed so far, those without a value included."""
        return self._position

    def feed(self, values: Sequence[float | None], now: int) -> list[Alert]:
        """Take in the next values, in order; None, NaN and infinity are records without a value.

        Returns:
            The alerts to write. `now`, in ms since the epoch, is their time.
        """
        alerts: list[Alert | None] = []
        river, episode, recent = self._river, self._episode, self._recent
        update, quiet = river.update, self._declared.quiet
        for value in values:
            self._position += 1
            if value is not None and value - value == 0:
                recent.append(value)
                self._sum += value
                self._count += 1
                update(value)
                if river.drift_detected:
                    alerts.append(self._detected(now))
                    continue
            if episode.open and self._position - self._last >= quiet:
                alerts.append(self._steady(now))
        return [alert for alert in alerts if alert is not None]

    def dumps(self) -> bytes:
        """The state, the River object included, for `loads`.

        Raises:
            SnapshotError: the object cannot be pickled.
        """
        state = {
            "spec": self._spec,
            "position": self._position,
            "last": self._last,
            "detections": self._detections,
            "told": self._told,
            "recent": list(self._recent),
            "count": self._count,
            "sum": self._sum,
            "episode": self._episode.state(),
            "river": self._river,
        }
        return dumps(state)

    def loads(self, data: bytes) -> None:
        """Take over the state that `dumps` gave.

        Raises:
            SnapshotError: it is not such a state, or the detector was declared otherwise when it was made. The watch is
            as it was.
        """
        state: dict[str, Any] = loads(data, allow(self._river))
        if not isinstance(state, dict) or state.get("spec") != self._spec:
            raise SnapshotError(
                f"the state of detector {self._declared.name} is not that of the {type(self._river).__name__} "
                "that is declared now; the detector starts anew"
            )
        self._position, self._last = state["position"], state["last"]
        self._detections, self._told = state["detections"], state["told"]
        self._recent = deque(state["recent"], maxlen=_RECENT)
        self._count, self._sum = state["count"], state["sum"]
        self._episode.restore(state["episode"])
        self._river = state["river"]

    def _detected(self, now: int) -> Alert | None:
        self._last = self._position
        self._detections = self._detections + 1 if self._episode.open else 1
        older = self._count - len(self._recent)
        lately = sum(self._recent)
        value = lately / len(self._recent)
        before = (self._sum - lately) / older if older else None
        self._count, self._sum = len(self._recent), lately
        if self._episode.open and self._detections < 2 * self._told:
            return None
        self._told = self._detections
        message = self._describe(before, value)
        if self._detections > 1:
            message = f"{message}; {self._detections} detections so far"
        return self._episode.happen("raised", message, value, None, self._position, now)

    def _steady(self, now: int) -> Alert | None:
        value = self._sum / self._count
        message = (
            f"{self._subject()} is steady again: mean {value:.4g}, "
            f"no detection in the last {self._declared.quiet:,} records (record {self._position:,})"
        )
        return self._episode.happen("eased", message, value, None, self._position, now)

    def _subject(self) -> str:
        if isinstance(self._declared, FeatureDrift):
            return f"feature {self._declared.feature}"
        return "the served error"

    def _describe(self, before: float | None, value: float) -> str:
        moved = "changed" if before is None or value == before else "rose" if value > before else "fell"
        means = f"{moved} to a mean of {value:.4g}" if before is None else f"{moved} from {before:.4g} to {value:.4g}"
        if isinstance(self._declared, FeatureDrift):
            advice = "check what produces it, and whether the served error follows"
        elif moved == "fell":
            advice = "the predictions got better; check that the labels are still right"
        else:
            advice = "compare the models in the metrics topic, and see whether a feature drifts too"
        cause = type(self._river).__name__
        return f"{self._subject()} {means} ({cause}, record {self._position:,}): {advice}"
