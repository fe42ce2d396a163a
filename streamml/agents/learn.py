"""One model learns the examples. Law: the model at position p is the fold of the first p examples, whatever was lost
on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from streamml.agents.agent import Offsets, Reading
from streamml.agents.live import LiveModels
from streamml.agents.thinning import superfluous
from streamml.errors import DecodeError, SnapshotError, StateLost
from streamml.evaluation import Prequential
from streamml.models import Fold, FoldError, digest_of
from streamml.records import Batch, Record, TopicPartition, Write, Writes
from streamml.schemas import Codec, ExampleReader
from streamml.snapshots import Assembler, Snapshot, dumps, loads, seal
from streamml.topology import Model, Snapshots, Target

CHANGELOG = "models"
_CANDIDATES = 3


class Learn:
    """Test, then train: the whole `examples` topic for one model, with its prequential results and snapshots.

    `skip` holds the positions whose examples made the model raise. Such an example is no part of the fold: the state is
    built anew without it. The set outlives the agent, and goes into its snapshots.
    """

    def __init__(
        self,
        model: Model,
        target: Target,
        window: int,
        policy: Snapshots,
        source: TopicPartition,
        reader: ExampleReader,
        metrics: Codec,
        snapshots: Codec,
        live: LiveModels,
        signing_key: bytes | None,
        skip: set[int],
        report: Callable[[str], None],
    ) -> None:
        self._model = model
        self._target = target
        self._window = window
        self._every = policy.every
        self._interval = int(policy.interval.total_seconds() * 1000)
        self._source = source
        self._reader = reader
        self._metrics = metrics
        self._snapshots = snapshots
        self._live = live
        self._key = signing_key
        self._skip = skip
        self._report = report
        self._digest = digest_of(model, target)
        self._assembler = Assembler(signing_key)
        self._candidates: list[Snapshot] = []
        self._kept: dict[int, int] = {}
        self._fold = Fold.new(model, target)
        self._prequential = Prequential(target, window)
        self._offset = 0
        self._sealed_position = 0
        self._sealed_at: int | None = None
        self.refused = 0

    @property
    def fold(self) -> Fold:
        return self._fold

    def restore(self, records: Sequence[Record]) -> None:
        prefix = f"{self._model.name}/".encode()
        for record in records:
            key = record.key or b""
            if not key.startswith(prefix):
                continue
            try:
                _, place, chunk = key.split(b"/")
                position = int(place)
                if record.value is None:
                    self._kept.pop(position, None)
                    continue
                # Also what is refused is thinned out in its time.
                self._kept[position] = max(self._kept.get(position, 0), int(chunk) + 1)
                snapshot = self._assembler.add(self._snapshots.decode(record.value))
            except (SnapshotError, DecodeError, ValueError) as error:
                self._refuse(record, error)
                continue
            if snapshot is not None:
                self._candidates.append(snapshot)
                del self._candidates[:-_CANDIDATES]

    def resume(self, committed: Offsets) -> Offsets:
        bound = committed.get(self._source)
        for snapshot in reversed(self._candidates):
            header = snapshot.header
            if header["digest"] != self._digest or (bound is not None and bound and header["offset"] > bound):
                continue
            try:
                self._load(snapshot)
            except SnapshotError as error:
                self.refused += 1
                self._report(
                    f"snapshot {self._model.name}@{header['position']} is not used, the log is replayed: {error}"
                )
                continue
            break
        self._candidates.clear()
        self._live.lead(self._fold)
        return {**committed, self._source: self._offset}

    def step(self, batch: Batch, now: int) -> Writes:
        metrics: list[Write] = []
        fold, prequential = self._fold, self._prequential
        learnable, predict, learn, add = self._reader.learnable, fold.predict, fold.learn, prequential.add
        skip, window, every = self._skip, self._window, self._every
        position = fold.position
        examples = batch.get("examples", ())
        head = position + len(examples)
        writes: Writes = {}
        for record in examples:
            y, x = learnable(record.value)
            try:
                output = predict(x)
            except FoldError:
                output = fold.no_answer
            add(y, output)
            if position in skip:
                fold.position += 1
            else:
                try:
                    learn(x, y)
                except FoldError as error:
                    raise self._cannot_learn(position, head, error) from error
            position += 1
            if position % window == 0 and (closed := prequential.close()) is not None:
                metrics.append(self._metric(closed, now))
            if position % every == 0:
                self._offset = record.offset + 1
                writes.setdefault(CHANGELOG, []).extend(self._snapshot(now))
        if examples:
            self._offset = examples[-1].offset + 1
        if self._sealed_at is None:
            self._sealed_at = now
        elif now - self._sealed_at >= self._interval and fold.position > self._sealed_position:
            writes.setdefault(CHANGELOG, []).extend(self._snapshot(now))
        if metrics:
            writes["metrics"] = metrics
        return writes

    def checkpoint(self, now: int) -> Writes:
        return {}

    def observe(self) -> Iterable[Reading]:
        labels = (("model", self._model.name),)
        yield Reading("model_position", labels, self._fold.position)
        yield Reading("snapshot_position", labels, self._sealed_position)
        yield Reading("snapshots_refused_total", labels, self.refused)

    def _cannot_learn(self, position: int, head: int, error: FoldError) -> StateLost:
        self._skip.add(position)
        self._live.withdraw(self._model.name, head)
        return StateLost(f"model {self._model.name} could not learn example {position}, which it skips: {error}")

    def _metric(self, closed: dict[str, object], now: int) -> Write:
        name = self._model.name
        value = {**closed, "model": name, "digest": self._digest, "at": now}
        return f"{name}/{closed['window']}".encode(), self._metrics.encode(value), now, ()

    def _snapshot(self, now: int) -> list[Write]:
        position = self._fold.position
        payload = dumps((self._fold.dumps(), self._prequential.state(), sorted(self._skip)))
        chunks = seal(
            payload,
            model=self._model.name,
            digest=self._digest,
            position=position,
            offset=self._offset,
            at=now,
            key=self._key,
        )
        self._sealed_position, self._sealed_at = position, now
        self._kept[position] = len(chunks)
        writes: list[Write] = [(key.encode(), self._snapshots.encode(value), now, ()) for key, value in chunks]
        for old in superfluous(sorted(self._kept)):
            writes += [
                (f"{self._model.name}/{old}/{chunk}".encode(), None, now, ()) for chunk in range(self._kept.pop(old))
            ]
        return writes

    def _load(self, snapshot: Snapshot) -> None:
        header = snapshot.header
        fold, prequential, skip = loads(snapshot.payload)
        results = Prequential(self._target, self._window)
        results.restore(prequential)
        self._fold = Fold.loads(self._model, self._target, fold, header["position"])
        self._prequential = results
        self._skip.update(skip)
        self._offset = header["offset"]
        self._sealed_position = header["position"]

    def _refuse(self, record: Record, error: Exception) -> None:
        self.refused += 1
        self._report(f"{record.topic}[{record.partition}]@{record.offset}: snapshot refused: {error}")
