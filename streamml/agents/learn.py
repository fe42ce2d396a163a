"""One model learns the examples. Law: the model at position p is the fold of the first p examples, whatever was lost
on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from streamml.agents.agent import Offsets, Reading
from streamml.agents.live import LiveModels
from streamml.agents.refusals import Refusals
from streamml.agents.reports import SNAPSHOTS, report
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
        self._kept: dict[int, set[int]] = {}
        self._fold = Fold.new(model, target)
        self._prequential = Prequential(target, window)
        self._offset = 0
        self._sealed_position = 0
        self._sealed_at: int | None = None
        self._refusals = Refusals()
        self._told = 0

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
                    self._refusals.settle(record)
                    continue
                # Also what is refused is thinned out in its time.
                self._kept.setdefault(position, set()).add(int(chunk))
                snapshot = self._assembler.add(self._snapshots.decode(record.value))
            except (SnapshotError, DecodeError, ValueError) as error:
                self._refusals.refuse(record, error)
                continue
            if snapshot is not None:
                self._refusals.settle(record)
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
                self._refusals.unusable(self._model.name, header["position"], error)
                continue
            break
        self._candidates.clear()
        self._refusals.tell(self._report)
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
        # Not with a step: of what is replayed, nothing that steps write would come out.
        new = self._refusals.forged - self._told
        if not new:
            return {}
        self._told += new
        return {"metrics": [report(self._metrics, SNAPSHOTS + self._model.name, {"snapshots_refused": new}, now)]}

    def observe(self) -> Iterable[Reading]:
        labels = (("model", self._model.name),)
        yield Reading("model_position", labels, self._fold.position)
        yield Reading("snapshot_position", labels, self._sealed_position)
        yield Reading("snapshots_refused_total", labels, self._refusals.count)

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
        self._kept[position] = set(range(len(chunks)))
        writes: list[Write] = [(key.encode(), self._snapshots.encode(value), now, ()) for key, value in chunks]
        # No snapshot of ours is ahead of the model: such a one was forged, or the log was made anew.
        name, forged = self._model.name, self._refusals.spurious
        gone = [p for p in self._kept if p > position or (p < position and f"{name}/{p}".encode() in forged)]
        forged.clear()
        for old in (*gone, *superfluous(sorted(self._kept.keys() - gone))):
            chunks_of = sorted(self._kept.pop(old))
            writes += [(f"{self._model.name}/{old}/{chunk}".encode(), None, now, ()) for chunk in chunks_of]
        return writes

    def _load(self, snapshot: Snapshot) -> None:
        header = snapshot.header
        results = Prequential(self._target, self._window)
        try:
            fold, prequential, skip = loads(snapshot.payload)
            results.restore(prequential)
            skipped = {int(position) for position in skip}
            model = Fold.loads(self._model, self._target, fold, header["position"])
        except SnapshotError:
            raise
        except Exception as error:  # Where nothing is signed, it may hold anything.
            raise SnapshotError(f"it does not hold what a learner writes ({type(error).__name__}: {error})") from error
        self._fold, self._prequential = model, results
        self._skip.update(skipped)
        self._offset = header["offset"]
        self._sealed_position = header["position"]
