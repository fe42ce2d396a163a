"""All that one topology has on an MLflow server. Law: how far the log was written down stands there too, and is moved
on only after it was.

So whoever is interrupted begins again a little earlier; runs and versions know what they have.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from streamml.agents.roster import Roster
from streamml.errors import StreammlError
from streamml.export.contents import Ledger, Stored, Window
from streamml.export.runs import Runs
from streamml.export.server import answers, shown
from streamml.export.versions import Versions
from streamml.topology import Topology

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

_EXPORTED = "streamml.exported"
_KIND = "custom_model_development"
"""Its pages are to be those of models that are trained, not of language models that are called."""


class Mark(NamedTuple):
    """The last record that was exported of a topic, by its offset and a hash of its value."""

    offset: int
    sum: str


class Book:
    """An experiment with its runs, and the registered models beside it.

    Every method raises `Unreachable` if the server does not answer, and StreammlError if it refuses. After the former
    `reopen`, and do the same again.
    """

    def __init__(self, client: MlflowClient, uri: str, experiment: str, topology: Topology) -> None:
        self._client = client
        self._uri = uri
        self._topology = topology
        self._app = topology.name
        self.name = experiment
        self.marks: dict[str, Mark] = {}
        self.at: int | None = None
        """When something was exported the last time, in ms since the epoch."""
        self.reopen()

    def reopen(self) -> None:
        """Look again at what the server has."""
        with answers(self._uri):
            found = self._experiment()
            self._id: str = found.experiment_id
            self._tags: dict[str, str] = found.tags
            self._runs = Runs(self._client, self._id, self._topology)
            self._versions = Versions(self._client, self._app, self.name)
            self._read_marks()

    def write(self, windows: Sequence[Window]) -> int:
        """Log the windows; how many there were not yet."""
        with answers(self._uri):
            return self._runs.write(windows)

    def hold(self, stored: Sequence[Stored], gone: Sequence[tuple[str, int]], whole: bool) -> int:
        """Register snapshots, and note that others, (model, position), are gone; how many there were not yet.

        `whole`: the log holds `stored` and nothing else.
        """
        with answers(self._uri):
            new = [self._versions.put(one, self._runs.of(one.model, one.digest, one.at)) for one in stored]
            for model, position in gone:
                self._versions.forget(model, position)
            if whole:
                self._versions.retain({(one.model, one.position) for one in stored})
            return sum(new)

    def decide(self, ledger: Ledger) -> None:
        """Write down all decisions, of which some are new."""
        with answers(self._uri):
            self._runs.decide(ledger)

    def stand(self, roster: Roster, ledger: Ledger) -> tuple[tuple[str, int, int] | None, int]:
        """Bring the tags, the alias and the versions up to date.

        Returns (registered model, version, position) of what the alias is on, and how many versions went.
        """
        with answers(self._uri):
            self._runs.stand(roster, ledger)
            on = self._versions.crown(roster)
            self._tag("champion", self._versions.name_of(roster.champion))
            gone = self._versions.sweep()
        return (None if on is None else (on.name, int(on.version), int(on.tags["position"]))), gone

    def save(self, marks: Mapping[str, Mark], at: int) -> None:
        """All up to and with these records is written."""
        self.marks.update(marks)
        self.at = at
        with answers(self._uri):
            self._tag(_EXPORTED, json.dumps({"at": at, **{role: list(mark) for role, mark in self.marks.items()}}))

    def _experiment(self) -> Experiment:
        """The experiment, which must be ours, and not deleted; it is created if there is none."""
        found = self._client.get_experiment_by_name(self.name)
        if found is None:
            note = f"What the topology {self._app} has learned and decided; written by `streamml export mlflow`."
            tags = {"app": self._app, "mlflow.note.content": note, "mlflow.experimentKind": _KIND}
            self._client.create_experiment(self.name, tags=tags)
            found = self._client.get_experiment_by_name(self.name)
        if found is None or found.lifecycle_stage != "active":
            raise StreammlError(
                f"the experiment {self.name} on {shown(self._uri)} is deleted: restore it there, or give another "
                "--experiment"
            )
        owner = found.tags.get("app", self._app)
        if owner != self._app:
            raise StreammlError(
                f"the experiment {self.name} on {shown(self._uri)} holds {owner}, not {self._app}: give another "
                "--experiment"
            )
        if "app" not in found.tags:
            self._client.set_experiment_tag(found.experiment_id, "app", self._app)
        return found

    def _read_marks(self) -> None:
        try:
            kept = json.loads(self._tags.get(_EXPORTED, "{}"))
            self.at = kept.pop("at", None)
            self.marks = {role: Mark(*mark) for role, mark in kept.items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise StreammlError(
                f"the tag {_EXPORTED} of the experiment {self.name} is not as it was written ({error}): delete the tag "
                "to look through the whole log again"
            ) from error

    def _tag(self, name: str, value: str) -> None:
        if self._tags.get(name) != value:
            self._client.set_experiment_tag(self._id, name, value)
            self._tags[name] = value
