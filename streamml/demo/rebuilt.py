"""Predictions made again from the log. Law: the model is folded anew from position 0, out of the examples alone, and
must say the same to the last bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from streamml.engine.catalog import Catalog
from streamml.engine.explaining import identical, seen_by_model
from streamml.engine.rebuild import Replay
from streamml.records import Record
from streamml.topology import Topology


@dataclass(frozen=True)
class Rebuilt:
    """How many predictions were made again, and one line for each that came out differently."""

    checked: int
    different: tuple[str, ...]

    @property
    def identical(self) -> int:
        return self.checked - len(self.different)


def rebuild(
    topology: Topology,
    catalog: Catalog,
    predictions: Sequence[Mapping[str, Any]],
    features: Mapping[bytes, Record],
    examples: Sequence[Record],
    samples: int,
    seed: int,
) -> Rebuilt:
    """Draw `samples` of the decoded `predictions` at random and make each again, with the model that it names.

    `features` holds what the model saw, by key; `examples` is the whole log.
    """
    drawn = Random(seed).sample(range(len(predictions)), min(samples, len(predictions)))
    chosen = sorted((predictions[index] for index in drawn), key=lambda p: int(p["position"]))
    values = [record.value or b"" for record in examples]
    models = {model.name: model for model in topology.models}
    replays = {
        name: Replay(models[name], topology.target, catalog.examples, values)
        for name in {p["model"] for p in chosen} & models.keys()
    }
    seen = _Seen(catalog, features)
    different = [why for p in chosen if (why := _difference(p, replays.get(p["model"]), seen)) is not None]
    return Rebuilt(len(chosen), tuple(different))


class _Seen:
    """The features of a prediction, as the model got them: an absent one is not there at all."""

    def __init__(self, catalog: Catalog, features: Mapping[bytes, Record]) -> None:
        self._decode = catalog.codec("features").decode
        self._features = features

    def by(self, id: str) -> dict[str, Any] | None:
        record = self._features.get(id.encode())
        if record is None:
            return None
        return seen_by_model(self._decode(record.value or b"")["values"])


def _difference(prediction: Mapping[str, Any], replay: Replay | None, seen: _Seen) -> str | None:
    """Why the prediction cannot be made again as it was; None if it can."""
    name, position = f"the prediction of id {prediction['id']}", prediction["position"]
    if replay is None:
        return f"{name} names the model {prediction['model']}, which the topology does not declare"
    x = seen.by(prediction["id"])
    if x is None:
        return f"{name} has no features record"
    try:
        fold = replay.at(position)
    except LookupError as error:
        return f"{name} names position {position}, but {error}"
    if fold.digest != prediction["digest"]:
        return f"{name} names the digest {prediction['digest']} of {fold.name}, which is {fold.digest}"
    said, again = prediction["output"], replay.predict(position, x)
    if not identical(said, again):
        return f"{name} was {said}, but {fold.name} at position {position} says {again}"
    return None
