"""The experiment of a topology: one run for each model. Law: a window is written once, however often it is sent.

A model under another specification has another digest, and so another run: their windows have the same positions. What
was served, which is no model, has a run too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from streamml.agents.roster import Roster
from streamml.export.contents import DECISIONS, SCORED, Ledger, Window, note
from streamml.export.specs import spec_of
from streamml.models import Lineage
from streamml.topology import Topology

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_BATCH = 1_000
"""Metrics that MLflow takes in one request."""
_LONGEST_TAG = 5_000
_KIND = "streamml.kind"
_NOTE = "mlflow.note.content"


class Runs:
    """The runs of a topology in an experiment."""

    def __init__(self, client: MlflowClient, experiment: str, topology: Topology) -> None:
        self._client = client
        self._experiment = experiment
        self._app = topology.name
        self._target = topology.target
        self._specs: dict[str, str] = {}
        self._models: dict[tuple[str, str], Run] = {}
        self._decisions: Run | None = None
        self._steps: dict[str, set[int]] = {}
        self._status: dict[str, str] = {}
        for run in self._search():
            tags = run.data.tags
            if tags.get(_KIND) == "decisions":
                self._decisions = run
            elif tags.get(_KIND) == "model":
                self._models.setdefault((tags.get("model", ""), tags.get("digest", "")), run)

    def of(self, model: str, digest: str, at: int) -> str:
        """The id of a model's run, which begins at `at` if there is none."""
        run = self._models.get((model, digest))
        if run is None:
            run = self._begin(model, {_KIND: "model", "model": model, "digest": digest}, at)
            self._models[model, digest] = run
            self._steps[run.info.run_id] = set()
        return str(run.info.run_id)

    def write(self, windows: Sequence[Window]) -> int:
        """Log windows, each at the step that is its model's position; how many there were not yet."""
        from mlflow.entities import Metric

        fresh: dict[str, dict[int, list[Metric]]] = {}
        for model, digest, step, at, figures in windows:
            run = self.of(model, digest, at)
            new = fresh.setdefault(run, {})
            if step not in self._logged(run) and step not in new:
                # SCORED is the last one of them: where a server has it, it has the others too.
                names = sorted(figures, key=lambda name: (name == SCORED, name))
                new[step] = [Metric(name, figures[name], at, step) for name in names]
        for run, new in fresh.items():
            for steps in _batches(new):
                metrics = [metric for step in steps for metric in new[step]]
                self._client.log_batch(run, metrics=metrics, synchronous=True)
                self._steps[run].update(steps)
        return sum(len(new) for new in fresh.values())

    def decide(self, ledger: Ledger) -> None:
        """Write all decisions, anew, as the artifact and the description of the run named `decisions`."""
        found = ledger.decisions
        if self._decisions is None:
            self._decisions = self._begin("decisions", {_KIND: "decisions"}, found[0].value["at"])
        accepted = sum(bool(decision.value["accepted"]) for decision in found)
        run = self._decisions
        self._client.log_text(run.info.run_id, "".join(f"{decision.line()}\n" for decision in found), DECISIONS)
        self._tag(run, {"accepted": str(accepted), "refused": str(len(found) - accepted), _NOTE: note(found)})

    def stand(self, roster: Roster, ledger: Ledger) -> None:
        """Say of each run how its model stands, what it is made of, and what was decided about it last."""
        latest = ledger.latest()
        for (model, digest), run in self._models.items():
            if not digest:
                continue
            lineage = roster.lineages.get(model)
            tags: dict[str, str] = {}
            if lineage is None:
                status = "undeclared"
            elif lineage.digest != digest:
                status = "superseded"
            else:
                status = "champion" if model == roster.champion else roster.status(model)
                tags = self._made_of(lineage)
                if model in latest:
                    tags["decided"] = latest[model].line()
            self._tag(run, {"status": status, **tags})
            self._set(run, "FINISHED" if status in ("undeclared", "superseded", "retired") else "RUNNING")

    def _made_of(self, lineage: Lineage) -> dict[str, str]:
        if lineage.digest not in self._specs:
            self._specs[lineage.digest] = spec_of(lineage, self._target)
        tags = {"spec": self._specs[lineage.digest]}
        if lineage.excluded:
            tags |= {"fork_of": lineage.model.name, "excluded": json.dumps(lineage.excluded)}
        return tags

    def _search(self) -> Iterator[Run]:
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment],
                f"tags.app = '{self._app}'",
                max_results=1_000,
                order_by=["attributes.start_time ASC"],
                page_token=token,
            )
            yield from page
            token = page.token
            if not token:
                return

    def _begin(self, name: str, tags: dict[str, str], at: int) -> Run:
        return self._client.create_run(self._experiment, start_time=at, run_name=name, tags={"app": self._app, **tags})

    def _tag(self, run: Run, tags: Mapping[str, str]) -> None:
        for name, value in tags.items():
            cut = value[:_LONGEST_TAG]
            if run.data.tags.get(name) != cut:
                self._client.set_tag(run.info.run_id, name, cut)
                run.data.tags[name] = cut

    def _set(self, run: Run, status: str) -> None:
        key = run.info.run_id
        if self._status.get(key, run.info.status) != status:
            self._client.update_run(key, status=status)
            self._status[key] = status

    def _logged(self, run: str) -> set[int]:
        """The steps that the server has, asked for once."""
        if run not in self._steps:
            self._steps[run] = {metric.step for metric in self._client.get_metric_history(run, SCORED)}
        return self._steps[run]


def _batches(windows: Mapping[int, Sequence[Any]]) -> Iterator[list[int]]:
    """The steps, as many at once as one request may hold metrics of."""
    steps: list[int] = []
    size = 0
    for step, metrics in windows.items():
        if steps and size + len(metrics) > _BATCH:
            yield steps
            steps, size = [], 0
        steps.append(step)
        size += len(metrics)
    if steps:
        yield steps
