"""How far the models that serve here lie behind the log. Law: never less than the truth as far as this process knows.

The lag of a learner is known while it runs only. While its session opens, replays or waits for a rebalance, the model
may be served from an earlier position, and lies furthest behind just then: so the head is remembered.
"""

from __future__ import annotations

from collections.abc import Mapping

from streamml.agents.live import LiveModels
from streamml.runtime.follower import Follower
from streamml.runtime.monitoring import Plane


class Staleness:
    """`learners` are the planes of the models that are learned here, if the group gives them to this process."""

    def __init__(self, live: LiveModels, learners: Mapping[str, Plane], follower: Follower | None) -> None:
        self._live = live
        self._learners = learners
        self._follower = follower
        self._heads: dict[str, tuple[int, int]] = {}

    def behind(self, model: str) -> int:
        """Examples committed that the model, as it serves here, has not learned: an upper bound, see `follower`."""
        return self._behind(model) + self._live.held_back(model)

    def _behind(self, model: str) -> int:
        position = max(0, self._live.position(model))
        least = self._live.furthest(model) - position
        plane, follower = self._learners.get(model), self._follower
        if plane is None or not plane.sessions:
            return max(least, follower.behind(model) if follower is not None else 0)
        end = follower.head if follower is not None else 0
        unread = self._unread(plane)
        if unread is not None:
            unread = max(least, unread)
            self._heads[model] = position + unread, end
            return unread
        # Each example takes an offset, so the head has moved by no more than the end of the topic.
        head, end_then = self._heads.get(model, (0, 0))
        return max(least, head + max(0, end - end_then) - position)

    def note(self) -> None:
        """Remember where the learners of this process stand; to be called every second."""
        for model, plane in self._learners.items():
            if plane.sessions:
                self._behind(model)
                unread = self._unread(plane)
                if unread is not None and self._follower is not None:
                    self._follower.reached(model, unread)

    def _unread(self, plane: Plane) -> int | None:
        lag = plane.lag() if plane.ready else {}
        return sum(lag.values()) if lag else None
