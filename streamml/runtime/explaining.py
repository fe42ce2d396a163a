"""One prediction, from its event to the model that made it. Law: what is said is read from the topics, or computed anew
from them; where something is gone, that is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streamml.agents.live import answer
from streamml.agents.roster import Roster
from streamml.engine.catalog import Catalog
from streamml.engine.explaining import Force, identical, in_force, seen_by_model
from streamml.errors import DecodeError, StreammlError
from streamml.models import Lineage, Output
from streamml.models.contributions import Contributions, contributions
from streamml.records import Record, Role
from streamml.runtime.connection import Connection
from streamml.runtime.quarantine.refused import Refused, read_refused, told
from streamml.runtime.rebuilding import Rebuilt, read_control, rebuilt
from streamml.runtime.tail import Decoder
from streamml.runtime.tracing import Trace, trace

Value = Mapping[str, Any]


@dataclass(frozen=True)
class Told:
    """A record, and what it says; `problem` says why that cannot be read."""

    record: Record
    value: Any
    problem: str | None = None


@dataclass(frozen=True)
class Again:
    """The model rebuilt, what it says of the features now, and what led it there, if it can show that."""

    rebuilt: Rebuilt
    output: Output
    identical: bool
    shown: Contributions | None


@dataclass(frozen=True)
class Explanation:
    """All there is to say of one id. What is None was not found; `problem` is why the prediction was not made again."""

    id: str
    event: Told | None
    feedback: tuple[Told, ...]
    features: Told | None
    prediction: Told | None
    label: Told | None
    example: Told | None
    position: int | None
    """That of the example."""
    doubles: int
    """Events beside the first one that have the id."""
    force: Force | None
    lineage: Lineage | None
    parent: str | None
    again: Again | None
    problem: str | None

    @property
    def served(self) -> Value | None:
        """The prediction as it was served: from its topic, or from its example where that one was deleted."""
        return _part(self.prediction, self.example, "prediction")

    @property
    def seen(self) -> Value | None:
        """The features record, in the same way."""
        return _part(self.features, self.example, "features")

    @property
    def good(self) -> bool:
        """Whether the prediction was made again to the last bit."""
        return self.again is not None and self.again.identical


async def explain(
    connection: Connection, catalog: Catalog, decoder: Decoder, id: str, key: bytes | None
) -> Explanation:
    """Explain the prediction of `id`; `key` is the application's signing key.

    Raises:
        StreammlError: no record names the id, or the topics cannot be read.
    """
    topology = catalog.topology
    found = await trace(connection, catalog, id)
    if not found:
        raise StreammlError(
            f"no record of {topology.name} has the id {id!r}: look at `streamml tail TOPOLOGY events` for the ids"
        )
    first: dict[Role, Told | None] = {
        role: await _told(catalog, decoder, role, record) if (record := found.first(role)) is not None else None
        for role in found.found
    }
    feedback = tuple([await _told(catalog, decoder, "feedback", record) for record in found.found["feedback"]])
    facts: dict[str, Any] = {
        "id": id,
        "event": first["events"],
        "feedback": feedback,
        "position": found.position,
        "doubles": max(0, len(found.found["events"]) - 1),
        "features": first["features"],
        "prediction": first["predictions"],
        "label": first["labels"],
        "example": first["examples"],
    }
    served = _part(first["predictions"], first["examples"], "prediction")
    if served is None:
        problem = await _not_served(connection, catalog, decoder, found)
        return Explanation(**facts, force=None, lineage=None, parent=None, again=None, problem=problem)
    entries = await read_control(connection, topology, catalog.codec("control"))
    roster = Roster(topology)
    parents: dict[str, str] = {}
    for _, entry in entries:
        if entry["kind"] == "decision" and roster.apply(entry) and entry["action"] == "exclude":
            parents[entry["model"]] = entry["parent"]
    name = served["model"]
    facts |= {
        "force": in_force(topology, entries, served["served_at"]),
        "lineage": roster.lineages.get(name),
        "parent": parents.get(name),
    }
    try:
        again = await _again(
            connection, catalog, roster.lineages, served, _part(first["features"], first["examples"], "features"), key
        )
    except StreammlError as error:
        return Explanation(**facts, again=None, problem=str(error))
    return Explanation(**facts, again=again, problem=None)


async def _again(
    connection: Connection,
    catalog: Catalog,
    lineages: Mapping[str, Lineage],
    served: Value,
    seen: Value | None,
    key: bytes | None,
) -> Again:
    name, digest = served["model"], served["digest"]
    lineage = lineages.get(name)
    if lineage is None:
        raise StreammlError(f"the topology does not declare {name}: explain it with the declaration that served it")
    if lineage.digest != digest:
        raise StreammlError(
            f"{name} is declared with the digest {lineage.digest} now, and served with {digest}: explain it with the "
            "declaration, and the version of River, that served it"
        )
    if seen is None:
        raise StreammlError("its features were deleted: give the topic a longer retention than the questions come late")
    model = await rebuilt(connection, catalog.topology, catalog, lineages, name, served["position"], key)
    x = seen_by_model(seen["values"])
    output = answer(model.fold, dict(x))
    return Again(model, output, identical(served["output"], output), contributions(model.fold, x))


async def _not_served(connection: Connection, catalog: Catalog, decoder: Decoder, found: Trace) -> str:
    """Why there is no prediction."""
    places = {(record.topic, record.partition, record.offset) for record in found.found["events"]}
    refusals: list[Refused] = []

    async def take(refused: Refused, record: Record) -> None:
        if (refused.topic, refused.partition, refused.offset) in places:
            refusals.append(refused)

    if not places:
        return "no event has this id: there is nothing that a model could have predicted"
    topic = catalog.topology.topic("quarantine")
    with told(connection, topic):
        await read_refused(connection, topic, decoder, take)
    if refusals:
        refused = refusals[0]
        return f"its event was refused by {refused.rule} ({refused.error}) and lies in quarantine at {refused.place}"
    return "its event was not predicted: no worker has come to it yet, or its prediction was deleted"


async def _told(catalog: Catalog, decoder: Decoder, role: Role, record: Record) -> Told:
    """Decoded as its writer meant it: what a model saw does not depend on who reads."""
    topology = catalog.topology
    formats = {"events": topology.events.format, "feedback": topology.feedback.format}
    if record.value is None:
        return Told(record, None, "the value is null")
    try:
        if formats.get(role) == "json":
            return Told(record, decoder.json(record.value))
        await decoder.meet([record.value])
        return Told(record, decoder.avro(record.value))
    except DecodeError as error:
        return Told(record, None, str(error))


def _part(own: Told | None, example: Told | None, name: str) -> Value | None:
    if own is not None and own.value is not None:
        value: Value = own.value
        return value
    if example is not None and example.value is not None:
        part: Value = example.value[name]
        return part
    return None
