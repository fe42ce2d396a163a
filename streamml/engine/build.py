"""From a declaration to the tasks that a runtime drives. Law: both runtimes run what is built here, and nothing
else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from streamml.agents.agent import Agent
from streamml.agents.detect import Detect
from streamml.agents.govern import Govern
from streamml.agents.learn import Learn
from streamml.agents.live import LiveModels
from streamml.agents.match import Match
from streamml.agents.quarantine import Quarantine
from streamml.agents.score import Score
from streamml.agents.validate import Validate
from streamml.engine.catalog import Catalog
from streamml.engine.layout import Stage, stages
from streamml.engine.splicing import splicer
from streamml.engine.task import Task
from streamml.features import Transformer
from streamml.records import TopicPartition
from streamml.schemas import field_kinds
from streamml.stores import Store, open_store
from streamml.topology import Model, Topology

_log = logging.getLogger("streamml")


def build_tasks(
    topology: Topology,
    catalog: Catalog,
    live: LiveModels,
    signing_key: bytes | None = None,
    report: Callable[[str], None] = _log.warning,
    state_dir: Path | None = None,
) -> list[Task]:
    """The tasks of `topology`. `report` is told, in one line each, what an operator should know but need not act on.

    `state_dir` is where state that is declared to lie on disk lies; without it all is kept in memory.
    """
    makers = _Makers(topology, catalog, live, signing_key, report, state_dir)
    return [_task(stage, makers) for stage in stages(topology)]


def _task(stage: Stage, makers: _Makers) -> Task:
    return Task(
        name=stage.name,
        inputs=stage.inputs,
        outputs=stage.outputs,
        scope=stage.scope,
        build=makers.maker(stage.name),
        changelog=stage.changelog,
        uses=stage.uses,
        hold_ms=stage.hold_ms,
        aligned=stage.aligned,
    )


class _Makers:
    def __init__(
        self,
        topology: Topology,
        catalog: Catalog,
        live: LiveModels,
        signing_key: bytes | None,
        report: Callable[[str], None],
        state_dir: Path | None,
    ) -> None:
        self._topology = topology
        self._catalog = catalog
        self._live = live
        self._key = signing_key
        self._report = report
        self._state_dir = state_dir
        self._skip: dict[str, set[int]] = {m.name: set() for m in topology.models}
        self._models = {f"learn:{m.name}": m for m in topology.models}

    def maker(self, name: str) -> Callable[[int], Agent]:
        if name in self._models:
            model = self._models[name]
            return lambda unit: self._learn(model)
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
            "govern": lambda unit: Govern(self._topology, self._catalog.codec("control")),
        }
        return makers[name]

    def _quarantine(self, agent: str) -> Quarantine:
        return Quarantine(self._catalog.codec("quarantine"), agent)

    def _score(self, unit: int) -> Agent:
        topology, catalog = self._topology, self._catalog
        validate = Validate(
            topology, catalog.events, catalog.feedback, self._quarantine("validate"), catalog.codec("labels")
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
            unit,
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

    def _learn(self, model: Model) -> Agent:
        topology, catalog = self._topology, self._catalog
        return Learn(
            model,
            topology.target,
            topology.window,
            topology.snapshots,
            TopicPartition(topology.topic("examples"), 0),
            catalog.examples,
            catalog.codec("metrics"),
            catalog.codec("models"),
            self._live,
            self._key,
            self._skip[model.name],
            self._report,
        )
