"""The life of an alert, as a table. Law: what is open is closed before it opens again, under one id from beginning to
end."""

from __future__ import annotations

from typing import Any, Literal

Happening = Literal["raised", "eased"]
Alert = dict[str, Any]
"""The fields of `schemas/alert.avsc`."""

LIFE: dict[tuple[bool, Happening], tuple[bool, str | None]] = {
    (False, "raised"): (True, "opened"),
    (True, "raised"): (True, "updated"),
    (True, "eased"): (False, "closed"),
    (False, "eased"): (False, None),
}
"""(open before, what happened) -> (open after, the status of the alert that is written)."""


class Episode:
    """The alerts of one detector, one at a time."""

    def __init__(self, detector: str, kind: str) -> None:
        self.detector = detector
        self.kind = kind
        self.open = False
        self._alert = ""
        self._opened_at = 0

    def happen(
        self, what: Happening, message: str, value: float, threshold: float | None, position: int, now: int
    ) -> Alert | None:
        """The alert to write because of `what`; None if there is nothing to tell.

        `position` counts the records that the detector has seen: the alert's id is the detector and the position at
        which it was opened, so a replay of the same records gives the same alerts. `now` is in ms since the epoch.
        """
        self.open, status = LIFE[self.open, what]
        if status is None:
            return None
        if status == "opened":
            self._alert, self._opened_at = f"{self.detector}/{position}", now
        return {
            "alert": self._alert,
            "detector": self.detector,
            "kind": self.kind,
            "status": status,
            "message": message,
            "value": value,
            "threshold": threshold,
            "position": position,
            "opened_at": self._opened_at,
            "at": now,
        }

    def state(self) -> dict[str, Any]:
        """Plain types, for a snapshot."""
        return {"open": self.open, "alert": self._alert, "opened_at": self._opened_at}

    def restore(self, state: dict[str, Any]) -> None:
        self.open, self._alert, self._opened_at = state["open"], state["alert"], state["opened_at"]
