"""What is secret stays so: each command is run with secrets that are easy to find, and all that it says is searched."""

from __future__ import annotations

import signal
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from cli.conftest import Cli, Declare
from security.forging import Application
from security.secured import ADMIN, Secured
from support.processes import eventually, get, running

from streamml.runtime.connection import Connection
from streamml.runtime.registry_http import RegistryClient
from streamml.runtime.worker import WorkerOptions

SIGNING = "canary-of-the-signing-key"
TOKEN = "canary-of-the-web-token"
SASL = "canary-of-the-sasl-password"
REGISTRY = "canary:of@the/registry"
SECRETS = (SIGNING, TOKEN, SASL, REGISTRY, quote(REGISTRY, safe=""))
ENV = {
    "STREAMML_SIGNING_KEY": SIGNING,
    "STREAMML_WEB_TOKEN": TOKEN,
    "STREAMML_REGISTRY": f"http://someone:{quote(REGISTRY, safe='')}@127.0.0.1:9",
}
LOGIN = {"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "someone"}


def leaks(texts: Iterable[str]) -> list[tuple[str, str]]:
    return [(secret, text) for text in texts for secret in SECRETS if secret in text]


def properties(folder: Path, **changes: str) -> str:
    settings = {**LOGIN, "sasl.password": SASL, **{name.replace("_", "."): value for name, value in changes.items()}}
    file = folder / f"{len(list(folder.glob('*.client')))}.client"
    file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    return str(file)


def page(url: str, shown: str) -> str:
    """The body of an answer, whatever its status is."""
    request = urllib.request.Request(url, headers={"Authorization": shown} if shown else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return f"{answer.headers}{answer.read().decode()}"
    except urllib.error.HTTPError as refusal:
        with refusal:
            return f"{refusal.headers}{refusal.read().decode()}"


def test_no_command_says_a_secret_where_nothing_answers(cli: Cli, declare: Declare) -> None:
    shop = declare()
    (cli.folder / "a.csv").write_text("id,at,x,kind\n1,2,3,\n")
    cli.env = ENV
    good = ("--properties", properties(cli.folder))
    wrong = (
        ("--properties", properties(cli.folder, sasl_mechanism="NONE")),
        ("--properties", properties(cli.folder, ssl_ca_location="nowhere.pem")),
        ("--properties", properties(cli.folder, security_protocol="PLAINTEXT")),
        ("--properties", properties(cli.folder, sasl_pasword=SASL)),
        ("--properties", properties(cli.folder, sasl_jaas_config=f'X required username="u" password="{SASL}";')),
        ("--property", f"sasl.password={SASL}"),
        ("--property", f"{SASL}"),
    )
    run = ("run", shop, "--wait", "0", "--web-port", "0", "--log-level", "debug")
    commands: list[tuple[str, ...]] = [
        ("check", shop),
        ("describe", shop),
        ("describe", shop, "--format", "mermaid"),
        ("acl", shop),
        ("acl", shop, "--json"),
        ("doctor", shop, *good),
        ("apply", shop, "--yes", *good),
        ("produce", shop, "events", "a.csv", *good),
        ("tail", shop, "events", *good),
        (*run, *good),
        (*run, "--log-format", "json", *good),
        *((*run, *options) for options in wrong),
        (*run, "--registry", f"http://someone:{REGISTRY}@[", "--apply"),
    ]
    ran = cli.run_all(commands)
    assert leaks(text for each in ran for text in (each.out, each.err)) == []
    assert {each.code for each in ran[:5]} == {0}
    assert {each.code for each in ran[5:]} == {1}


def test_what_is_printed_by_mistake_holds_no_secret() -> None:
    """`repr` is what a debugger, an exception or a log line without care shows."""
    connection = Connection("127.0.0.1:9", {"sasl_plain_password": SASL})
    options = WorkerOptions(
        "shop.py", connection, registry=ENV["STREAMML_REGISTRY"], web_token=TOKEN, signing_key=SIGNING.encode()
    )
    client = RegistryClient(ENV["STREAMML_REGISTRY"], "shop")
    assert leaks([repr(connection), repr(options), repr(client), client.url]) == []


@pytest.mark.kafka
def test_a_worker_that_logs_everything_says_none(kafka: str, app_name: str, tmp_path: Path) -> None:
    shop = Application(kafka, app_name, tmp_path)
    env = {"STREAMML_SIGNING_KEY": SIGNING, "STREAMML_WEB_TOKEN": TOKEN}
    arguments = ("run", str(shop.file), "--bootstrap", kafka, "--apply", "--web-port", "0", "--log-level", "debug")
    pages: list[str] = []
    with running("-m", "streamml", *arguments, env=env) as process:
        url = process.line("status on ").rpartition("status on ")[2].rstrip("/")
        eventually(lambda: get(f"{url}/health")[0], lambda status: status == 200)
        shop.live(0, 24)
        eventually(lambda: [s for s in shop.read("models") if s["header"]["position"] == 20])
        shop.forge(22, shop.lies(22))
        for path in ("/", "/health", "/status.json", "/metrics", "/ready"):
            pages += [page(url + path, shown) for shown in ("", f"Bearer {TOKEN}", f"Bearer {TOKEN}x")]
        assert process.end(signal.SIGTERM) == 0
    assert leaks([*process.lines, *pages]) == []
    written = [repr(shop.read(role)) for role in ("models", "metrics", "control", "alerts")]
    assert leaks(written) == []


@pytest.mark.kafka
def test_neither_a_good_nor_a_bad_login_is_told(broker: Secured, cli: Cli, declare: Declare) -> None:
    shop, password = declare(), broker.passwords[ADMIN]
    good = ("--properties", str(broker.properties(ADMIN)))
    bad = ("--properties", str(broker.properties(ADMIN, sasl_password=SASL)))
    debug = ("--web-port", "0", "--log-level", "debug", "--wait", "0")
    commands = [
        ("apply", shop, "--yes", *good),
        ("doctor", shop, *good),
        ("doctor", shop, *bad),
        ("apply", shop, "--yes", *bad),
        ("tail", shop, "events", "--no-follow", *good),
        ("tail", shop, "events", "--no-follow", *bad),
        ("run", shop, *debug, *bad),
    ]
    ran = [cli.run(*command) for command in commands]
    assert [each.code for each in ran] == [0, 0, 1, 1, 0, 1, 1]
    said = [text for each in ran for text in (each.out, each.err)]
    with running("-m", "streamml", "run", str(cli.folder / shop), *debug, *good, env=cli.env) as worker:
        seen = [" ".join(psutil.Process(worker.pid).cmdline())]
        worker.line("status on ")
        assert worker.end(signal.SIGTERM) == 0, worker.lines[-5:]
    assert [text for text in (*said, *seen, *worker.lines) if password in text or SASL in text] == []
