"""validate, transform and serve, chained: one batch in, its features and predictions out. Law: every event that was
read gives either one features record and one prediction, or one quarantined record; nothing is paid between the
three."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from streamml.agents.agent import Offsets, Reading
from streamml.agents.live import LiveModels, answer
from streamml.agents.quarantine import Quarantine
from streamml.agents.reports import SERVING, report
from streamml.agents.validate import Validate
from streamml.errors import DecodeError
from streamml.features import Transformer
from streamml.models import Features, Fold, FoldError, SpentError
from streamml.records import BareRecord, Batch, Record, TopicPartition, Write, Writes, placed
from streamml.schemas import Codec

_OF_BATCH = ("model", "digest", "position", "staleness", "served_at")
"""The fields that all predictions of a batch have in common; where there are no shadows, that there are none too."""

REPORT_MS = 1_000
"""How often a partition says in `metrics` how it serves."""


class Score:
    """One partition of `events`, which is `source`, and of `feedback`. It keeps no state but counters: the live models
    are by reference.

    What the shadows would have said goes into each prediction; one that is spent is left out.

    Once a second, if there were events or this process has refused a snapshot, it writes a record `serving/PARTITION`
    to `metrics`: events read and quarantined since the last one, the greatest staleness, snapshots refused. While there
    is no champion to ask, `step` does nothing and raises `NotReady`.
    """

    def __init__(
        self,
        validate: Validate,
        transformer: Transformer,
        live: LiveModels,
        features: Codec,
        predictions: Codec,
        metrics: Codec,
        quarantine: Quarantine,
        source: TopicPartition,
    ) -> None:
        self._validate = validate
        self._transformer = transformer
        self._live = live
        encode_transform, self._encode_features = features.halves("transform")
        self._transform = encode_transform({"transform": transformer.digest})
        self._unshadowed = predictions.halves("shadows", *_OF_BATCH)
        self._shadowed = predictions.halves(*_OF_BATCH)
        self._metrics = metrics
        self._quarantine = quarantine
        self._source = source
        self._name = f"{SERVING}{source.partition}"
        self._read = self._refused = self._staleness = 0
        self._reported = 0
        self._reported_at: int | None = None
        self._told = live.told
        self.scored = 0

    def restore(self, records: Sequence[Record]) -> None:
        return

    def resume(self, committed: Offsets) -> Offsets:
        return committed

    def step(self, batch: Batch, now: int) -> Writes:
        writes: Writes = {}
        refused: list[Write] = []
        if events := batch.get("events"):
            features, predictions = self._score(events, refused, now)
            self._read += len(events)
            self._refused += len(refused)
            if features:
                writes["features"] = features
                writes["predictions"] = predictions
        if feedback := batch.get("feedback"):
            labels, bad = self._validate.labels(feedback, now)
            if labels:
                writes["labels"] = labels
            refused += bad
        if refused:
            writes["quarantine"] = refused
        if (self._read or self._live.refused > self._told) and now - (self._reported_at or 0) >= REPORT_MS:
            writes["metrics"] = [self._report(now)]
        return writes

    def checkpoint(self, now: int) -> Writes:
        return {}

    def observe(self) -> Iterable[Reading]:
        yield Reading("scored_total", (), self.scored)
        counts = dict(self._quarantine.counts)
        for rule, count in self._validate.counts.items():
            counts[rule] = counts.get(rule, 0) + count
        for rule, count in counts.items():
            yield Reading("quarantined_total", (("rule", rule),), count)

    def _score(self, events: Sequence[BareRecord], refused: list[Write], now: int) -> tuple[list[Write], list[Write]]:
        fold = self._live.serving()  # First: if it cannot serve, nothing of the batch may be counted.
        staleness = self._live.behind(fold.name)
        self._staleness = max(self._staleness, staleness)
        shadows = list(self._live.shadows())
        encode_common, encode_prediction = self._shadowed if shadows else self._unshadowed
        of_batch = encode_common(
            {
                "model": fold.name,
                "digest": fold.digest,
                "position": fold.position,
                "staleness": staleness,
                "served_at": now,
            }
        )
        transform, predict = self._transformer.values, fold.predict
        encode_features, of_transform = self._encode_features, self._transform
        features: list[Write] = []
        predictions: list[Write] = []
        for id, time, event, record in self._validate.events(events, now, refused):
            try:
                values = transform(event)
                output = predict(values)
            except DecodeError as error:
                bad_one = placed(record, self._source)
                refused.append(self._quarantine.refuse(bad_one, error.rule, str(error), now, error.field))
                continue
            except SpentError:
                raise
            except FoldError:
                output = fold.no_answer
            key = id.encode()
            seen = {"id": id, "event_time": time, "values": values}
            features.append((key, encode_features(seen, of_transform), time, ()))
            served = {"output": output, "event_time": time, "id": id}
            if shadows:
                served["shadows"] = _said(shadows, values)
            predictions.append((key, encode_prediction(served, of_batch), time, ()))
        self.scored += len(features)
        return features, predictions

    def _report(self, now: int) -> Write:
        live = self._live
        # A later report means that the earlier one was committed: then no other unit need tell the same.
        live.told = max(live.told, self._told)
        figures = {
            "events": self._read,
            "quarantined": self._refused,
            "staleness": self._staleness if self._read else live.behind(live.champion),
            "snapshots_refused": live.refused - live.told,
        }
        scored = self._read - self._refused
        written = report(self._metrics, self._name, figures, now, self._reported, self._read, scored)
        self._told = live.refused
        self._read = self._refused = self._staleness = 0
        self._reported += 1
        self._reported_at = now
        return written


def _said(shadows: list[Fold], x: Features) -> list[dict[str, Any]]:
    """What each of them says of `x`; those that are spent are taken out of `shadows`."""
    said = []
    for fold in tuple(shadows):
        try:
            output = answer(fold, x)
        except SpentError:
            shadows.remove(fold)
            continue
        said.append({"model": fold.name, "digest": fold.digest, "position": fold.position, "output": output})
    return said
