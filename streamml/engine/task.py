"""A task: what a runtime needs to know to run one stage of a topology. Law: a task is data; it runs nothing by
itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from streamml.agents.agent import Agent
from streamml.records import Role

Scope = Literal["partition", "whole"]


SWITCH = "@champion"
"""The lock of what `score` serves: who changes it holds this one."""


@dataclass(frozen=True)
class Task:
    """One stage of a topology.

    `scope` is `partition` where partition p of every input goes to one agent of its own (the inputs are
    co-partitioned), and `whole` where one agent reads all partitions of all inputs. `changelog` is the role of the
    compacted topic that the agent is restored from; a `partition` agent uses its own partition of it, a `whole` agent
    partition 0. `uses` gives the names of what a step reads or changes beside its records, the models above all: the
    runtime takes the lock of each before it asks for the next name, and runs no two steps under one lock. A runtime
    commits as soon as a step has writes, then lets input gather for `hold_ms`; without
    writes it may put the commit off. `aligned`: no input is read far ahead of the others, by the times of the records.
    """

    name: str
    inputs: tuple[Role, ...]
    outputs: tuple[Role, ...]
    scope: Scope
    build: Callable[[int], Agent]
    changelog: Role | None = None
    uses: Callable[[], Iterable[str]] = tuple
    hold_ms: int = 20
    aligned: bool = False

    @property
    def group(self) -> str:
        """The consumer group's last part: `learn:lr` becomes `learn.lr`."""
        return self.name.replace(":", ".")
