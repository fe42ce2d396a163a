"""The registered models: one for each model, with a version for each snapshot. Law: what is registered is what the log
holds, and `champion` is on what serves.

A snapshot is thinned out of the log as it grows older; its version goes with it, unless somebody has given it an alias.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from streamml.agents.roster import Roster
from streamml.export.contents import Stored, time_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

CHAMPION = "champion"


class Versions:
    """The registered models of `app`, whose names are `<prefix>.<model>`."""

    def __init__(self, client: MlflowClient, app: str, prefix: str) -> None:
        self._client = client
        self._app = app
        # MLflow takes neither of these in the name of a model.
        self._prefix = re.sub(r"[/:]+", "-", prefix).strip("-")
        self._versions: dict[str, dict[tuple[str, int], ModelVersion]] = {}
        self._aliases: dict[str, dict[str, str]] = {}
        self._leaving: set[tuple[str, tuple[str, int]]] = set()
        for registered in self._search():
            if registered.name.startswith(f"{self._prefix}."):
                self._take(registered)

    def name_of(self, model: str) -> str:
        return f"{self._prefix}.{model}"

    def put(self, stored: Stored, run: str) -> bool:
        """A version for this snapshot; whether there was none yet."""
        self._register(stored.model)
        known, place = self._versions[stored.model], (stored.digest, stored.position)
        tags = {
            "app": self._app,
            "model": stored.model,
            "digest": stored.digest,
            "position": str(stored.position),
            "sha256": stored.sha256,
            "size": str(stored.size),
            "signed": str(stored.signed).lower(),
            "at": time_of(stored.at),
            "stored": "true",
        }
        self._leaving.discard((stored.model, place))
        there = known.get(place)
        if there is not None:
            self._tag(there, tags)
            return False
        known[place] = self._client.create_model_version(
            self.name_of(stored.model),
            source=f"streamml:/{self._app}/{stored.model}@{stored.position}",
            run_id=run,
            tags=tags,
            description=f"{stored.model} after {stored.position} examples",
            await_creation_for=0,
        )
        return True

    def forget(self, model: str, position: int) -> None:
        """The log holds no snapshot at this position any more: its version goes with the next `sweep`."""
        self._leaving |= {(model, place) for place in self._versions.get(model, ()) if place[1] == position}

    def retain(self, held: Collection[tuple[str, int]]) -> None:
        """The log holds these snapshots, (model, position), and no others."""
        for model, places in self._versions.items():
            self._leaving |= {(model, place) for place in places if (model, place[1]) not in held}

    def sweep(self) -> int:
        """Delete the versions whose snapshots are gone, and say so of those that have an alias; how many went."""
        gone = 0
        for model, place in sorted(self._leaving):
            version = self._versions[model][place]
            if str(version.version) in self._aliases[model].values():
                self._tag(version, {"stored": "false"})
            else:
                self._client.delete_model_version(version.name, str(version.version))
                del self._versions[model][place]
                gone += 1
        self._leaving.clear()
        return gone

    def crown(self, roster: Roster) -> ModelVersion | None:
        """Move the alias to the version of what serves, and return it; None, and no alias, while there is none."""
        best, serves = self._nearest(roster), roster.champion
        for model, aliases in self._aliases.items():
            if CHAMPION in aliases and (best is None or model != serves):
                self._client.delete_registered_model_alias(self.name_of(model), CHAMPION)
                del aliases[CHAMPION]
        if best is not None and self._aliases[serves].get(CHAMPION) != str(best.version):
            self._client.set_registered_model_alias(best.name, CHAMPION, str(best.version))
            self._aliases[serves][CHAMPION] = str(best.version)
        return best

    def _nearest(self, roster: Roster) -> ModelVersion | None:
        """The champion's version in the log that is nearest to the position it serves at, and not after it."""
        lineage, pinned = roster.lineages[roster.champion], roster.pinned
        found = [
            (position, version)
            for (digest, position), version in self._versions.get(lineage.name, {}).items()
            if digest == lineage.digest
            and (pinned is None or position <= pinned)
            and (lineage.name, (digest, position)) not in self._leaving
            and version.tags.get("stored") != "false"
        ]
        return max(found, key=lambda one: one[0])[1] if found else None

    def _register(self, model: str) -> None:
        if model in self._versions:
            return
        from mlflow.exceptions import MlflowException

        name, tags = self.name_of(model), {"app": self._app, "model": model}
        try:
            registered = self._client.create_registered_model(
                name, tags, f"Snapshots of {model} of {self._app}, as the log holds them; written by streamml export."
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            registered = self._client.get_registered_model(name)
            for tag, value in tags.items():
                self._client.set_registered_model_tag(name, tag, value)
        self._take(registered, model)

    def _take(self, registered: RegisteredModel, model: str | None = None) -> None:
        model = model or registered.tags.get("model", registered.name.removeprefix(f"{self._prefix}."))
        self._aliases[model] = {alias: str(version) for alias, version in registered.aliases.items()}
        found = self._versions[model] = {}
        for version in self._pages(self._client.search_model_versions, f"name = '{registered.name}'"):
            tags = version.tags
            if tags.get("digest") and tags.get("position", "").isdecimal():
                found[tags["digest"], int(tags["position"])] = version

    def _search(self) -> Iterator[RegisteredModel]:
        yield from self._pages(self._client.search_registered_models, f"tags.app = '{self._app}'")

    @staticmethod
    def _pages(search: Any, text: str) -> Iterator[Any]:
        token = None
        while True:
            page = search(filter_string=text, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _tag(self, version: ModelVersion, tags: dict[str, str]) -> None:
        for name, value in tags.items():
            if version.tags.get(name) != value:
                self._client.set_model_version_tag(version.name, str(version.version), name, value)
                version.tags[name] = value
