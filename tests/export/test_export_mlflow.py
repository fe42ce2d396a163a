"""`export mlflow` on a real MLflow server and a real Kafka: all is there, once, whatever happened on the way."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cli.conftest import Cli, Declare
from export.conftest import everything
from export.filling import AT, SIZE, Filling
from mlflow import MlflowClient
from mlflow.entities import Run
from support.proxy import Proxy

from streamml.errors import StreammlError
from streamml.export import connect, export
from streamml.export.book import Book
from streamml.export.exporter import Told
from streamml.runtime.applying import carry_out, open_store
from streamml.runtime.connection import Connection
from streamml.snapshots import key_of
from streamml.topology import Topology, load_topology

pytestmark = pytest.mark.kafka

TWO = 'models=(Model("lr", lr), Model("nb", lambda: river("naive_bayes").GaussianNB())), window=20'
PATIENCE = 60.0


@dataclass
class Shop:
    """An applied topology with two models, what fills its topics, and what exports them without a new process."""

    file: str
    topology: Topology
    filling: Filling
    tracking: str

    @property
    def name(self) -> str:
        return self.topology.name

    def export(self, secret: bytes | None = None, later: float = 0.0, experiment: str = "") -> Told:
        told: list[Told] = []
        book = Book(connect(self.tracking), self.tracking, experiment or self.name, self.topology)
        where = Connection(self.filling.bootstrap)
        work = export(
            self.topology,
            where,
            None,
            book,
            secret=secret,
            follow=False,
            done=told.append,
            clock=lambda: time.time() + later,
        )
        asyncio.run(work)
        return told[0]


@pytest.fixture
def shop(on_kafka: Cli, declare: Declare, kafka: str, tracking: str, client: MlflowClient) -> Shop:
    file = declare(changes=TWO)
    topology = load_topology(on_kafka.folder / file)

    async def apply() -> None:
        where = Connection(kafka)
        store = open_store(topology.name, where, None)
        await carry_out(topology, where, store)
        await store.close()

    asyncio.run(apply())
    return Shop(file, topology, Filling(kafka, topology), tracking)


def runs(client: MlflowClient, experiment: str, text: str = "") -> dict[str, Run]:
    found = client.get_experiment_by_name(experiment)
    return {} if found is None else {run.info.run_name: run for run in client.search_runs([found.experiment_id], text)}


def aliases(client: MlflowClient, shop: Shop) -> dict[str, tuple[str, str]]:
    """Where each alias is: (model, position)."""
    found = {}
    for model in client.search_registered_models(f"tags.app = '{shop.name}'"):
        for alias, version in client.get_registered_model(model.name).aliases.items():
            tags = client.get_model_version(model.name, version).tags
            found[alias] = (tags["model"], tags["position"])
    return found


def until(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while not (held := condition()):
        assert time.monotonic() < end, f"not so within {PATIENCE} s"
        time.sleep(0.05)
    return held


def test_killed_on_the_way_and_run_again_it_is_all_there_once(
    on_kafka: Cli, shop: Shop, client: MlflowClient, tmp_path: Path
) -> None:
    fill, name = shop.filling, shop.name
    fill.decided("promote", "lr", reason="the first model serves from the start")
    asked = fill.command("promote", "lr", "alice")
    fill.decided("promote", "lr", accepted=False, command=asked, reason="it is the champion already")
    fill.windows("lr", range(500))
    fill.windows("served", range(3))
    fill.windows("served:nb", range(3))
    fill.windows("lr", [0, 1], digest="another")
    fill.report()
    fill.garbage("control")
    fill.aborted("nb", 0)
    header = fill.snapshot("lr", 20)
    fill.snapshot("lr", 40, chunks=2)
    fill.snapshot("nb", 40)
    command = ("export", "mlflow", shop.file, "--tracking-uri", shop.tracking)

    started = on_kafka.start(*command)
    present = f"tags.digest = '{fill.digests['lr']}'"
    begun = until(lambda: [run for run in runs(client, name, present).values() if run.data.metrics])[0]
    started.kill()
    on_kafka.end(started)
    reached = {p.step for p in client.get_metric_history(begun.info.run_id, "kappa")}
    assert 0 < len(reached) < 500

    ran = on_kafka.run(*command)
    assert ran.code == 0, ran.err
    assert f"{name} -> experiment {name}: " in ran.out
    assert (
        f"3 versions (0 thinned out) and 2 decisions written; champion is {name}.lr version 2, position 40" in ran.out
    )
    assert ran.err == "left out, since unreadable or not signed with STREAMML_SIGNING_KEY: 1\n"
    found = client.get_experiment_by_name(name)
    assert found is not None
    assert (found.tags["app"], found.tags["champion"]) == (name, f"{name}.lr")
    every = client.search_runs([found.experiment_id])
    by_digest = {(run.info.run_name, run.data.tags.get("digest")): run for run in every}
    lr = by_digest["lr", fill.digests["lr"]]
    assert by_digest.keys() == {
        ("decisions", None),
        ("lr", fill.digests["lr"]),
        ("lr", "another"),
        ("nb", fill.digests["nb"]),
        ("served", ""),
        ("served:nb", ""),
    }
    points = client.get_metric_history(lr.info.run_id, "accuracy")
    assert [(p.step, p.value, p.timestamp) for p in points] == [((n + 1) * SIZE, n / 1_000, AT + n) for n in range(500)]
    assert lr.data.metrics == {
        "accuracy": 0.499,
        "kappa": 0.5,
        "cumulative/accuracy": 0.25,
        "no_change/accuracy": 0.125,
        "no_change/cumulative/accuracy": 0.0625,
        "prior/accuracy": 0.375,
        "slices/kind.a_b": 0.75,
        "slices/kind.": 1.0,
        "count": 20.0,
        "scored": 19.0,
    }
    tags = lr.data.tags
    assert (tags["app"], tags["model"], tags["status"], lr.info.status) == (name, "lr", "champion", "RUNNING")
    assert tags["spec"].startswith("Pipeline ( StandardScaler (")
    assert json.loads(tags["decided"])["reason"] == "the first model serves from the start"
    old = by_digest["lr", "another"]
    assert (old.data.tags["status"], old.info.status) == ("superseded", "FINISHED")
    assert by_digest["nb", fill.digests["nb"]].data.tags["status"] == "racing"
    assert "accuracy" not in by_digest["nb", fill.digests["nb"]].data.metrics

    (version,) = [v for v in client.search_model_versions(f"name = '{name}.lr'") if v.tags["position"] == "20"]
    assert (version.source, version.run_id) == (f"streamml:/{name}/lr@20", lr.info.run_id)
    wanted = {"digest": fill.digests["lr"], "sha256": header["sha256"], "size": "7", "signed": "false"}
    assert wanted.items() <= version.tags.items()
    assert aliases(client, shop) == {"champion": ("lr", "40")}

    told = by_digest["decisions", None]
    lines = Path(client.download_artifacts(told.info.run_id, "decisions.jsonl", str(tmp_path))).read_text().splitlines()
    assert [(line["accepted"], line.get("asked_by")) for line in map(json.loads, lines)] == [
        (True, None),
        (False, "alice"),
    ]
    assert "| promote | lr |  | refused | alice | it is the champion already |" in told.data.tags["mlflow.note.content"]

    before = everything(client, name)
    assert shop.export() == Told(refused=1, champion=(f"{name}.lr", 2, 40))
    assert everything(client, name) == before
    # As if it had been stopped after all was written, but before that was noted.
    client.delete_experiment_tag(found.experiment_id, "streamml.exported")
    del before["tags"]["streamml.exported"]
    assert (again := shop.export()).windows + again.versions == 0
    after = everything(client, name)
    assert after["tags"].pop("streamml.exported")
    assert after == before


def test_versions_and_the_alias_follow_the_log(shop: Shop, client: MlflowClient) -> None:
    fill, name = shop.filling, shop.name
    fill.decided("promote", "lr")
    for position in (20, 40, 60):
        fill.snapshot("lr", position)
    assert shop.export().versions == 3
    assert aliases(client, shop) == {"champion": ("lr", "60")}
    # Promoted before anything of it is stored: what does not serve any more has no alias all the same.
    fill.decided("promote", "nb")
    assert shop.export().champion is None
    assert aliases(client, shop) == {}
    fill.snapshot("nb", 40)
    shop.export()
    assert aliases(client, shop) == {"champion": ("nb", "40")}
    assert runs(client, name)["lr"].data.tags["status"] == "racing"
    # Back to a position: the nearest snapshot that is not after it.
    fill.decided("rollback", "lr", position=50)
    shop.export()
    assert aliases(client, shop) == {"champion": ("lr", "40")}
    # Thinned out: the alias moves on first, and what somebody else holds on to stays, marked.
    (kept,) = [v for v in client.search_model_versions(f"name = '{name}.lr'") if v.tags["position"] == "60"]
    client.set_registered_model_alias(f"{name}.lr", "audit", kept.version)
    fill.thinned("lr", 40)
    fill.thinned("lr", 60)
    assert shop.export().dropped == 1
    assert aliases(client, shop) == {"champion": ("lr", "20"), "audit": ("lr", "60")}
    assert client.get_model_version(f"{name}.lr", kept.version).tags["stored"] == "false"
    # A fork has a digest, a run and a registered model of its own.
    fork = "2d1f"
    fill.decided("exclude", "lr~1", parent="lr", from_position=10, to_position=15)
    fill.decided("retire", "nb")
    fill.snapshot("lr~1", 20, digest=fork)
    shop.export()
    found = runs(client, name)
    assert (found["nb"].data.tags["status"], found["nb"].info.status) == ("retired", "FINISHED")
    assert found["lr~1"].data.tags["status"] == "superseded"  # The digest is not that of this fork.
    assert client.get_registered_model(f"{name}.lr~1").tags["model"] == "lr~1"


def test_a_fork_says_what_it_leaves_out(shop: Shop, client: MlflowClient) -> None:
    from streamml.models import Lineage

    fork = Lineage.of(shop.topology.models[0], shop.topology.target, [(10, 15)], "lr~1")
    shop.filling.decided("exclude", "lr~1", parent="lr", from_position=10, to_position=15)
    shop.filling.decided("promote", "lr~1", evidence={"e": 40.0})
    shop.filling.snapshot("lr~1", 20, digest=fork.digest)
    shop.export()
    tags = runs(client, shop.name)["lr~1"].data.tags
    assert (tags["fork_of"], tags["excluded"], tags["status"]) == ("lr", "[[10, 15]]", "champion")
    assert json.loads(tags["decided"])["evidence"] == {"e": 40.0}
    assert aliases(client, shop) == {"champion": ("lr~1", "20")}


def test_a_thinning_that_was_missed_is_made_up_for(shop: Shop, client: MlflowClient) -> None:
    """Kafka forgets after a day that something was deleted."""
    shop.filling.snapshot("lr", 20)
    shop.export()
    name, digest = f"{shop.name}.lr", shop.filling.digests["lr"]
    client.create_model_version(name, "streamml:/x/lr@10", tags={"digest": digest, "position": "10"})
    client.create_model_version(name, "elsewhere:/of/somebody", tags={"made": "by hand"})
    assert shop.export(later=11 * 3_600).dropped == 0
    assert shop.export(later=13 * 3_600).dropped == 1
    left = {v.source for v in client.search_model_versions(f"name = '{name}'")}
    assert left == {f"streamml:/{shop.name}/lr@20", "elsewhere:/of/somebody"}


def test_with_a_key_only_what_is_signed_is_registered(shop: Shop, client: MlflowClient) -> None:
    key = key_of(b"secret", shop.name)
    shop.filling.snapshot("lr", 20, key=key)
    shop.filling.snapshot("lr", 40)
    shop.filling.snapshot("lr", 60, key=key_of(b"secret", "another"))
    for role in ("metrics", "models"):
        shop.filling.garbage(role)
    told = shop.export(secret=b"secret")
    # What has no key of a snapshot is not even looked at.
    assert (told.versions, told.refused) == (1, 3)
    assert aliases(client, shop) == {"champion": ("lr", "20")}


def test_a_log_that_was_made_anew_is_refused(shop: Shop, client: MlflowClient) -> None:
    shop.filling.decided("promote", "lr")
    shop.export()
    found = client.get_experiment_by_name(shop.name)
    assert found is not None
    exported = json.loads(found.tags["streamml.exported"])
    for mark in ([exported["control"][0], "0" * 16], [exported["control"][0] + 10, "0" * 16]):
        client.set_experiment_tag(found.experiment_id, "streamml.exported", json.dumps({**exported, "control": mark}))
        with pytest.raises(StreammlError, match=rf"{shop.name}\.control at .* record {mark[0]} .*another --experiment"):
            shop.export()
    # Under another name it is exported, and its registered models are others.
    shop.filling.snapshot("lr", 20)
    assert shop.export(experiment=f"teams/{shop.name}:2").champion == (f"teams-{shop.name}-2.lr", 1, 20)


def test_following_waits_for_a_server_that_is_away(on_kafka: Cli, shop: Shop, client: MlflowClient) -> None:
    fill, port = shop.filling, int(shop.tracking.rpartition(":")[2])
    fill.snapshot("lr", 20)
    fill.snapshot("nb", 20)
    proxy = Proxy("mlflow", port)
    uri = f"http://127.0.0.1:{proxy.port}"
    process = on_kafka.start("export", "mlflow", shop.file, "--tracking-uri", uri, "--follow")
    assert process.stdout is not None
    assert process.stderr is not None
    assert "champion is" in process.stdout.readline()
    proxy.close()
    fill.decided("promote", "nb")
    assert f"no MLflow server answers at {uri}" in (waiting := process.stderr.readline())
    assert waiting.endswith("; waiting for it\n")
    proxy = Proxy("mlflow", port, proxy.port)
    try:
        assert f"champion is {shop.name}.nb version 1, position 20" in process.stdout.readline()
        assert aliases(client, shop) == {"champion": ("nb", "20")}
        fill.windows("nb", [0])
        until(lambda: runs(client, shop.name)["nb"].data.metrics.get("accuracy") == 0.0)
    finally:
        proxy.close()
    process.send_signal(2)
    ran = on_kafka.end(process)
    assert (ran.code, ran.out, ran.err) == (130, "", "")


def test_what_cannot_be_exported_is_one_line(on_kafka: Cli, shop: Shop, client: MlflowClient, tmp_path: Path) -> None:
    (tmp_path / "without" / "mlflow").mkdir(parents=True)
    (tmp_path / "without" / "mlflow" / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'mlflow'\", name='mlflow')"
    )
    bare = Cli(on_kafka.folder, {**on_kafka.env, "PYTHONPATH": str(tmp_path / "without")})
    command = ["export", "mlflow", shop.file, "--tracking-uri"]
    try:
        processes = [
            bare.start(*command, shop.tracking),
            on_kafka.start(*command, "http://u:pw@127.0.0.1:9"),
        ]
        missing, away = [on_kafka.error_of(on_kafka.end(process)) for process in processes]
    finally:
        bare.close()
    assert missing == "error: the client of MLflow is not installed: pip install streamml[mlflow]"
    assert away.startswith("error: no MLflow server answers at http://127.0.0.1:9 (")
    assert "Connection refused" in away
    assert "pw" not in away
    client.create_experiment(f"{shop.name}-theirs", tags={"app": "another"})
    client.delete_experiment(client.create_experiment(f"{shop.name}-gone"))
    for name, said in (("theirs", f"holds another, not {shop.name}"), ("gone", "is deleted: restore it there")):
        with pytest.raises(StreammlError, match=said):
            shop.export(experiment=f"{shop.name}-{name}")
    with pytest.raises(StreammlError, match=r"refuses: .*unsupported URI"):
        connect(f"sqlite:///{tmp_path}/m.db")
