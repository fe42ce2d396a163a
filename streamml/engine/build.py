"""From a declaration to the tasks that a runtime drives. Law: both runtimes run what is built here, and nothing
else."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from streamml.agents.agent import Agent
from streamml.agents.detect import Detect
from streamml.agents.govern import Govern
from streamml.agents.learn import Learn
from streamml.agents.live import LiveModels
from streamml.agents.match import Match
from streamml.agents.quarantine import Quarantine
from streamml.agents.roster import Roster
from streamml.agents.score import Score
from streamml.agents.validate import Validate
from streamml.engine.catalog import Catalog
from streamml.engine.layout import LEARN, Stage, learner, stages
from streamml.engine.splicing import splicer
from streamml.engine.task import SWITCH, Task
from streamml.features import Transformer
from streamml.models import Lineage
from streamml.records import TopicPartition
from streamml.schemas import field_kinds
from streamml.stores import Store, open_store
from streamml.topology import Topology

_log = logging.getLogger("streamml")


def build_tasks(
    topology: Topology,
    catalog: Catalog,
    live: LiveModels,
    signing_key: bytes | None = None,
    report: Callable[[str], None] = _log.warning,
    state_dir: Path | None = None,
) -> list[Task]:
    """The tasks of `topology` as it was declared, see `Builder`."""
    return Builder(topology, catalog, live, Roster(topology), signing_key, report, state_dir).tasks()


class Builder:
    """Makes the tasks of `topology`, and those of the forks that `roster` comes to know.

    `report` is told, in one line each, what an operator should know but need not act on. `state_dir` is where state
    that is declared to lie on disk lies; without it all is kept in memory.
    """

    def __init__(
        self,
        topology: Topology,
        catalog: Catalog,
        live: LiveModels,
        roster: Roster,
        signing_key: bytes | None = None,
        report: Callable[[str], None] = _log.warning,
        state_dir: Path | None = None,
    ) -> None:
        self._topology = topology
        self._catalog = catalog
        self._live = live
        self._key = signing_key
        self._report = report
        self._state_dir = state_dir
        self._roster = roster
        self._skip: dict[str, set[int]] = {}

    def tasks(self) -> list[Task]:
        """Those of the declaration, in the order of the flow."""
        return [self._task(stage) for stage in stages(self._topology)]

    def learner(self, name: str) -> Task:
        """That of one model of the roster."""
        return self._task(learner(name))

    def _task(self, stage: Stage) -> Task:
        return Task(
            name=stage.name,
            inputs=stage.inputs,
            outputs=stage.outputs,
            scope=stage.scope,
            build=self._maker(stage.name),
            changelog=stage.changelog,
            uses=self._uses(stage.name),
            hold_ms=stage.hold_ms,
            aligned=stage.aligned,
        )

    def _uses(self, name: str) -> Callable[[], Iterable[str]]:
        if name == "score":
            return self._served
        model = name.removeprefix(LEARN)
        return (lambda: (model,)) if name.startswith(LEARN) else tuple

    def _served(self) -> Iterator[str]:
        yield SWITCH
        # Only now: while the lock before was waited for, another model may have become the champion.
        yield from sorted(self._live.in_use())

    def _maker(self, name: str) -> Callable[[int], Agent]:
        if name.startswith(LEARN):
            lineage = self._roster.lineages[name.removeprefix(LEARN)]
            return lambda unit: self._learn(lineage)
        makers: dict[str, Callable[[int], Agent]] = {
            "score": self._score,
            "match": self._match,
            "detect": lambda unit: Detect(
                self._topology,
                self._catalog.examples,
                self._catalog.codec("features"),
                self._catalog.codec("metrics"),
                self._catalog.codec("alerts"),
                self._report,
            ),
            "govern": lambda unit: Govern(
                self._topology,
                self._catalog.codec("control"),
                self._catalog.codec("metrics"),
                self._catalog.codec("alerts"),
                self._report,
            ),
        }
        return makers[name]

    def _quarantine(self, agent: str) -> Quarantine:
        return Quarantine(self._catalog.codec("quarantine"), agent)

    def _score(self, unit: int) -> Agent:
        topology, catalog = self._topology, self._catalog
        validate = Validate(
            topology, catalog.events, catalog.feedback, self._quarantine("validate"), catalog.codec("labels"), unit
        )
        kinds = field_kinds(catalog.schema("events"))
        doubles = {name for name, kind in kinds.items() if kind.types == ("double",) and not kind.nullable}
        return Score(
            validate,
            Transformer(topology.transform, list(kinds), doubles),
            self._live,
            catalog.codec("features"),
            catalog.codec("predictions"),
            catalog.codec("metrics"),
            self._quarantine("transform"),
            TopicPartition(topology.topic("events"), unit),
        )

    def _match(self, unit: int) -> Agent:
        topology, catalog = self._topology, self._catalog
        labels = catalog.codec("labels")
        return Match(
            topology.feedback,
            TopicPartition(topology.topic("labels"), unit),
            splicer(catalog),
            lambda key, time, value: labels.encode({"value": value, "time": time, "id": key.decode()}),
            self._quarantine("match"),
            self._store(f"match-{unit}") if topology.feedback.store == "disk" else None,
        )

    def _store(self, name: str) -> Store | None:
        return None if self._state_dir is None else open_store(self._state_dir / name, self._report)

    def _learn(self, lineage: Lineage) -> Agent:
        topology, catalog = self._topology, self._catalog
        return Learn(
            lineage,
            self._roster.lineages,
            topology.target,
            topology.window,
            topology.snapshots,
            TopicPartition(topology.topic("examples"), 0),
            catalog.examples,
            catalog.codec("metrics"),
            catalog.codec("models"),
            self._live,
            self._key,
            self._skip.setdefault(lineage.name, set()),
            self._report,
            topology.gate,
        )
