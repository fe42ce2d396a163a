"""The topics of a topology, filled with its own codecs but without a worker."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from confluent_kafka import Producer
from support.kafka import produce

from streamml import Topology
from streamml.agents.reports import SERVING, report
from streamml.engine.catalog import Catalog
from streamml.models import digest_of
from streamml.snapshots import CHUNK, seal

AT = 1_760_000_000_000
"""2025-10-09T08:53:20Z."""
SIZE = 20
"""Positions in a window."""


class Filling:
    """Writes to an applied topology whose schemas are kept in its topic."""

    def __init__(self, bootstrap: str, topology: Topology) -> None:
        self.bootstrap = bootstrap
        self.topology = topology
        self.digests = {model.name: digest_of(model, topology.target) for model in topology.models}
        self._catalog = Catalog.in_memory(topology)

    def windows(self, model: str, numbers: Iterable[int], digest: str | None = None) -> None:
        """Windows of a model; the accuracy of window n is n/1000."""
        digest = self.digests.get(model, "") if digest is None else digest
        self._put("metrics", [self._window(model, number, digest) for number in numbers])

    def report(self) -> None:
        """What an agent says of itself."""
        key, value, _, _ = report(self._catalog.codec("metrics"), f"{SERVING}0", {"staleness": 1.0}, AT)
        self._put("metrics", [(key, value)])

    def aborted(self, model: str, number: int) -> None:
        """A window in a transaction that came to nothing."""
        producer = Producer({"bootstrap.servers": self.bootstrap, "transactional.id": f"{self.topology.name}-aborted"})
        producer.init_transactions()
        producer.begin_transaction()
        key, value = self._window(model, number, self.digests[model])
        producer.produce(self.topology.topic("metrics"), value, key)
        producer.flush()
        producer.abort_transaction()

    def snapshot(
        self, model: str, position: int, *, chunks: int = 1, key: bytes | None = None, digest: str = ""
    ) -> dict[str, Any]:
        """A snapshot of so many chunks; its header."""
        sealed = seal(
            b"x" * (CHUNK * (chunks - 1) + 7),
            model=model,
            digest=digest or self.digests[model],
            position=position,
            offset=position,
            at=AT + position,
            key=key,
        )
        codec = self._catalog.codec("models")
        self._put("models", [(name.encode(), codec.encode(value)) for name, value in sealed])
        return dict(sealed[0][1]["header"])

    def thinned(self, model: str, position: int, chunks: int = 1) -> None:
        """That snapshot goes."""
        self._put("models", [(f"{model}/{position}/{chunk}".encode(), None) for chunk in range(chunks)])

    def command(self, action: str, model: str, author: str) -> int:
        """A command of a person; its offset."""
        return self._control("command", action, model, author=author)

    def decided(self, action: str, model: str, accepted: bool = True, reason: str = "because", **more: Any) -> int:
        """A decision; its offset."""
        return self._control("decision", action, model, accepted=accepted, reason=reason, author="govern", **more)

    def garbage(self, role: str) -> None:
        """What none of ours has written."""
        self._put(role, [(b"no key of ours", b"no value of ours")])

    def _control(self, kind: str, action: str, model: str, **more: Any) -> int:
        value = {
            "kind": kind,
            "action": action,
            "model": model,
            "position": None,
            "accepted": None,
            "reason": "",
            "command": None,
            "parent": None,
            "from_position": None,
            "to_position": None,
            "evidence": {},
            "at": AT,
            **more,
        }
        return self._put("control", [(None, self._catalog.codec("control").encode(value))])

    def _window(self, model: str, number: int, digest: str) -> tuple[bytes, bytes]:
        value = {
            "model": model,
            "digest": digest,
            "window": number,
            "first_position": number * SIZE,
            "count": SIZE,
            "scored": SIZE - 1,
            "metrics": {"accuracy": number / 1_000, "kappa": 0.5},
            "cumulative": {"accuracy": 0.25},
            "baselines": {"no_change": {"accuracy": 0.125}, "prior": {"accuracy": 0.375}},
            "baselines_cumulative": {"no_change": {"accuracy": 0.0625}, "prior": {}},
            "losses": [0.0] * SIZE,
            "slices": {"kind=a/b": {"count": 2, "loss": 0.75}, "kind=": {"count": 1, "loss": 1.0}},
            "at": AT + number,
        }
        return f"{model}/{number}".encode(), self._catalog.codec("metrics").encode(value)

    def _put(self, role: str, records: Iterable[tuple[bytes | None, bytes | None]]) -> int:
        return produce(self.bootstrap, self.topology.topic(role), records, partition=0)[-1][1]
