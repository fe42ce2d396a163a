"""An application, and someone who can write to its `models`. Law: what is forged here would do harm if it were opened.

The forger knows everything but the signing key: the schemas, the digests, the environment, the snapshots in the log.
"""

from __future__ import annotations

import builtins
import os
import pickle
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.kafka import produce, read_all
from support.processes import Process, eventually, get, get_json, running
from support.tiny import event, label, tiny
from support.tiny_worker import topology_file

from streamml.engine.catalog import Catalog
from streamml.evaluation import Prequential
from streamml.models import Fold
from streamml.snapshots import dumps, key_of, seal

SECRET = "the-signing-key-of-this-application"


class _Runs:
    """Unpickled by Python itself, it calls `function(*arguments)`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = function, arguments

    def __reduce__(self) -> Any:
        return self._call


class Application:
    """The tiny topology on a broker: its workers, its outside writers, and its forger."""

    def __init__(self, bootstrap: str, name: str, folder: Path) -> None:
        self.bootstrap, self.name, self.folder = bootstrap, name, folder
        self.topology = tiny(name, partitions=2)
        self.file = topology_file(folder, name)
        self.catalog = Catalog.in_memory(self.topology)
        self.canary = folder / "canary"

    @contextmanager
    def worker(self, only: str = "", secret: str | None = SECRET) -> Iterator[tuple[Process, str]]:
        """A worker that is ready, and the address of its pages."""
        arguments = ("run", str(self.file), "--bootstrap", self.bootstrap, "--only", only, "--apply")
        options = ("--web-port", "0", "--log-format", "text")
        env = {"STREAMML_SIGNING_KEY": secret or ""}
        with running("-m", "streamml", *arguments, *options, env=env) as process:
            url = process.line("status on ").rpartition("status on ")[2].rstrip("/")
            eventually(lambda: get(f"{url}/ready")[0], lambda status: status == 200)
            yield process, url

    def live(self, first: int, last: int) -> None:
        """Events and their labels."""
        self.ask(first, last)
        labels = self.catalog.codec("feedback")
        self._send("feedback", [(b"%d" % n, labels.encode(label(n))) for n in range(first, last)])

    def ask(self, first: int, last: int) -> None:
        """Events without labels."""
        events = self.catalog.codec("events")
        self._send("events", [(b"%d" % n, events.encode(event(n))) for n in range(first, last)])

    def _send(self, role: str, records: list[tuple[bytes | None, bytes | None]]) -> None:
        produce(self.bootstrap, self.topology.topic(role), records)

    def read(self, role: str) -> list[dict[str, Any]]:
        codec, topic = self.catalog.codec(role), self.topology.topic(role)
        values = [message.value() for message in read_all(self.bootstrap, topic)]
        return [codec.decode(value) for value in values if value is not None]

    def position(self, url: str, model: str = "lr") -> Any:
        """How many examples the model has learned that serves at this address."""
        return next(m for m in get_json(f"{url}/status.json")["models"] if m["name"] == model)["position"]

    def prediction(self, number: int) -> dict[str, Any]:
        """What was said of an event, once it was."""
        return eventually(lambda: next((p for p in self.read("predictions") if p["id"] == str(number)), {}))

    def alerts(self) -> list[tuple[str, str]]:
        """(detector, status) of the alerts about snapshots so far."""
        return [(a["detector"], a["status"]) for a in self.read("alerts") if a["kind"] == "snapshots"]

    def fold(self, position: int) -> Fold:
        """The model `lr` by the log itself."""
        fold = Fold.new(self.topology.models[0], self.topology.target)
        messages = read_all(self.bootstrap, self.topology.topic("examples"))
        for message in messages[:position]:
            y, x = self.catalog.examples.learnable(message.value() or b"")
            fold.learn(x, y)
        return fold

    def right(self, prediction: Mapping[str, Any]) -> bool:
        """Whether it is what the log's own model says at the position that the prediction names."""
        what = event(int(prediction["id"]))
        x = {name: what[name] for name in ("temperature", "pressure")}
        return bool(self.fold(prediction["position"]).predict(x) == prediction["output"])

    # What the forger does.

    def forge(self, position: int, payload: bytes, secret: str | None = None, **header: Any) -> None:
        """Put a snapshot of `lr` on `models`; with a `secret`, signed with that one."""
        fold = Fold.new(self.topology.models[0], self.topology.target)
        signing = None if secret is None else key_of(secret.encode(), self.name)
        end = len(read_all(self.bootstrap, self.topology.topic("examples")))
        place: dict[str, Any] = {"model": "lr", "digest": fold.digest, "position": position, "offset": end}
        chunks = seal(payload, **place, at=1_000, key=signing)
        codec = self.catalog.codec("models")
        # The environment is the workers', whatever this process was started with.
        header = {"environment": self.read("models")[0]["header"]["environment"], **header}
        values = [(key, {**value, "header": {**value["header"], **header}}) for key, value in chunks]
        self._send("models", [(key.encode(), codec.encode(value)) for key, value in values])

    def lies(self, position: int) -> bytes:
        """A sound payload of a model that was taught the opposite."""
        fold = Fold.new(self.topology.models[0], self.topology.target)
        for n in range(position):
            what = event(n)
            fold.learn({name: what[name] for name in ("temperature", "pressure")}, not label(n)["rain"])
        results = Prequential(self.topology.target, self.topology.window)
        return dumps((fold.dumps(), results.state(), []))

    def tamper(self) -> None:
        """Write the newest honest snapshot of `lr` again, with one byte of its payload changed."""
        snapshot = [s for s in self.read("models") if s["header"]["model"] == "lr" and s["header"]["signature"]][-1]
        payload = bytearray(snapshot["payload"])
        payload[len(payload) // 2] ^= 1
        header = snapshot["header"]
        value = self.catalog.codec("models").encode({**snapshot, "payload": bytes(payload)})
        self._send("models", [(f"lr/{header['position']}/{snapshot['chunk']}".encode(), value)])

    def attacks(self) -> dict[str, bytes]:
        """Pickles that leave a canary behind wherever they are opened carelessly: each was tried."""
        leave = f"open({str(self.canary)!r}, 'w').close()"
        objects = {
            "os": _Runs(os.system, f"touch '{self.canary}'"),
            "exec": _Runs(builtins.exec, leave),
            "eval": _Runs(builtins.eval, leave),
            "popen": _Runs(subprocess.call, ["touch", str(self.canary)]),
            "in a model": (_Runs(builtins.exec, leave), {}, []),
        }
        found = {name: pickle.dumps(thing) for name, thing in objects.items()}
        for name, payload in found.items():
            pickle.loads(payload)
            assert self.canary.exists(), name
            self.canary.unlink()
        return found
