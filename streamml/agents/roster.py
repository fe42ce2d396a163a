"""Which models there are, which of them learn, and which one serves. Law: the fold of the decisions in `control`, the
same in every process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from streamml.models import MARK, Lineage
from streamml.topology import Topology

Status = Literal["racing", "paused", "retired"]
Decision = Mapping[str, Any]
"""A decoded record of `control` whose kind is `decision`."""

GATE = "gate"
"""The author of what is decided on evidence; what answers a person is by `govern`."""

_REMEMBERED = 50


class Reign(NamedTuple):
    """Who serves: the model of that name as it learns on, or frozen at `position`."""

    model: str
    position: int | None = None

    def __str__(self) -> str:
        return self.model if self.position is None else f"{self.model}@{self.position}"


class Roster:
    """The declared models and their forks, from the beginning on: the first declared one is the champion."""

    def __init__(self, topology: Topology) -> None:
        self._target = topology.target
        self.lineages: dict[str, Lineage] = {m.name: Lineage.of(m, topology.target) for m in topology.models}
        self.reign = Reign(topology.champion)
        self.former: list[Reign] = []
        """The reigns before this one, the last one last."""
        self.asked: dict[str, None] = {}
        """Models that govern wants examined before they serve."""
        self._status: dict[str, Status] = {}
        self._forks: dict[str, int] = {}
        self._history: list[tuple[str, str, int, int]] = []
        self.gone: str | None = None
        """After a restore: the champion that the topology no longer declares."""
        self._aside: dict[str, Any] = {"forks": [], "status": {}, "asked": [], "former": []}
        self.stands = False
        """Whether the champion was decided on, and is not only the first one declared."""

    @property
    def champion(self) -> str:
        return self.reign.model

    @property
    def pinned(self) -> int | None:
        """The position at which the champion is frozen; None while it serves as it learns."""
        return self.reign.position

    def status(self, name: str) -> Status:
        return self._status.get(name, "racing")

    def learning(self) -> list[str]:
        """The models that learn, the declared ones first."""
        return [name for name in self.lineages if self.status(name) == "racing"]

    def next_fork(self, name: str) -> str:
        """The name that the next fork of `name`, a declared model or a fork, will get."""
        root = self.lineages[name].model.name
        return f"{root}{MARK}{self._forks.get(root, 0) + 1}"

    def apply(self, decision: Decision) -> bool:
        """Take in the next decision, accepted or not; whether anything is different now.

        One on a model that is not declared any more changes nothing.
        """
        action, name = decision["action"], decision["model"]
        if action in ("promote", "rollback") and (decision["accepted"] or decision["author"] == GATE):
            self.asked.pop(name, None)  # What a person was refused leaves an examination under way.
        if not decision["accepted"]:
            return False
        if action == "exclude":
            return self._fork(decision)
        if name not in self.lineages:
            return False
        if action in ("promote", "rollback"):
            return self._crown(Reign(name, decision["position"]), back=action == "rollback")
        if action == "validate":
            self.asked[name] = None
            return True
        if action in _STATUS:
            before, self._status[name] = self.status(name), _STATUS[action]
            return before != self._status[name]
        return False

    def __iter__(self) -> Iterator[Lineage]:
        return iter(self.lineages.values())

    def _crown(self, reign: Reign, back: bool) -> bool:
        self.stands, self.gone = True, None
        if reign == self.reign:
            return False
        if back and self.former and self.former[-1] == reign:
            self.former.pop()
        else:
            self.former.append(self.reign)
            del self.former[:-_REMEMBERED]
        self.reign = reign
        return True

    def _fork(self, decision: Decision) -> bool:
        parent, start, end = self.lineages.get(decision["parent"]), decision["from_position"], decision["to_position"]
        name = decision["model"] or ""
        root, _, number = name.partition(MARK)
        # What govern has not written so is a forgery, and names no fork.
        if (
            parent is None
            or root != parent.model.name
            or not (number.isdecimal() and len(number) < 10)
            or name in self.lineages
        ):
            return False
        if start is None or end is None or not 0 <= start < end:
            return False
        self._forks[root] = max(self._forks.get(root, 0), int(number))
        ranges = (*parent.excluded, (start, end))
        self.lineages[name] = Lineage.of(parent.model, self._target, ranges, name)
        self._history.append((name, parent.name, start, end))
        return True

    def state(self) -> dict[str, Any]:
        """Plain types, also for JSON."""
        aside = self._aside
        return {
            "reign": list(self.reign),
            "former": [*aside["former"], *(list(reign) for reign in self.former)],
            "asked": [*aside["asked"], *self.asked],
            "status": {**aside["status"], **self._status},
            "forks": [*aside["forks"], *self._history],
            "stands": self.stands,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave. What the topology does not declare is kept aside: it may come back."""
        aside = self._aside
        for name, parent, start, end in state["forks"]:
            if not self._fork({"model": name, "parent": parent, "from_position": start, "to_position": end}):
                aside["forks"].append([name, parent, start, end])
        for name in state["asked"]:
            if name in self.lineages:
                self.asked[name] = None
            else:
                aside["asked"].append(name)
        for name, status in state["status"].items():
            (self._status if name in self.lineages else aside["status"])[name] = status
        for reign in state["former"]:
            if reign[0] in self.lineages:
                self.former.append(Reign(*reign))
            else:
                aside["former"].append(reign)
        reign = Reign(*state["reign"])
        if reign.model in self.lineages:
            self.reign, self.stands = reign, state["stands"]
        else:
            self.gone = reign.model


_STATUS: Mapping[str, Status] = {"pause": "paused", "resume": "racing", "retire": "retired"}
