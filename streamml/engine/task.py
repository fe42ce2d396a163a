"""A task: what a runtime needs to know to run one stage of a topology. Law: a task is data; it runs nothing by
itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from streamml.agents.agent import Agent
from streamml.records import Role

Scope = Literal["partition", "whole"]


@dataclass(frozen=True)
class Task:
    """One stage of a topology.

    `scope` is `partition` where partition p of every input goes to one agent of its own (the inputs are
    co-partitioned), and `whole` where one agent reads all partitions of all inputs. `changelog` is the role of the
    compacted topic that the agent is restored from; a `partition` agent uses its own partition of it, a `whole` agent
    partition 0. `uses` names the models whose live objects a step reads or changes: the runtime runs no two steps on
    one model at a time. A runtime commits as soon as a step has writes, then lets input gather for `hold_ms`; without
    writes it may put the commit off. `aligned`: no input is read far ahead of the others, by the times of the records.
    """

    name: str
    inputs: tuple[Role, ...]
    outputs: tuple[Role, ...]
    scope: Scope
    build: Callable[[int], Agent]
    changelog: Role | None = None
    uses: tuple[str, ...] = ()
    hold_ms: int = 20
    aligned: bool = False

    @property
    def group(self) -> str:
        """The consumer group's last part: `learn:lr` becomes `learn.lr`."""
        return self.name.replace(":", ".")
