"""Client properties: those of librdkafka and Java are understood, others are refused, and secrets stay secret."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from streamml.errors import BrokerError
from streamml.runtime.connection import Connection
from streamml.runtime.properties import security_of

SECRET = "correct-horse"


@pytest.mark.parametrize("mechanism", ["sasl.mechanism", "sasl.mechanisms"])
def test_sasl_under_both_names(mechanism: str) -> None:
    properties = {"security.protocol": "sasl_plaintext", mechanism: "scram-sha-256"}
    assert security_of(properties | {"sasl.username": "ann", "sasl.password": SECRET}) == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": "ann",
        "sasl_plain_password": SECRET,
    }


def test_java_login_module() -> None:
    jaas = 'org.apache.kafka.common.security.plain.PlainLoginModule required username="ann" password="a\\"b;c";'
    found = security_of({"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.jaas.config": jaas})
    assert (found["sasl_plain_username"], found["sasl_plain_password"]) == ("ann", 'a"b;c')


def test_tls_with_own_authority_and_client_certificate(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    authority.issue_cert("client").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "me.pem"))
    found = security_of(
        {
            "security.protocol": "SSL",
            "ssl.ca.location": str(tmp_path / "ca.pem"),
            "ssl.keystore.location": str(tmp_path / "me.pem"),
            "ssl.keystore.type": "PEM",
            "ssl.endpoint.identification.algorithm": "",
        }
    )
    context = found["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    assert not context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("properties", "line"),
    [
        ({"sasl.user": SECRET}, "client property 'sasl.user' is not known: did you mean sasl.username?"),
        ({"zzz": SECRET}, "client property 'zzz' is not known: known are"),
        ({SECRET: ""}, "a client property without a value is not known: known are"),
        ({"security.protocol": "TLS"}, "security.protocol must be one of"),
        ({"sasl.username": "ann"}, "security.protocol is PLAINTEXT: set it to SASL_SSL"),
        ({"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER"}, "sasl.mechanism must be one of"),
        ({"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.password": SECRET}, "needs sasl.username"),
        ({"security.protocol": "SSL", "ssl.truststore.location": "x.jks"}, "must be a PEM file"),
        ({"security.protocol": "SSL", "ssl.ca.location": "/nowhere.pem"}, "/nowhere.pem cannot be read"),
        ({"security.protocol": "SSL", "ssl.certificate.location": "/no.pem"}, "client certificate /no.pem"),
    ],
)
def test_a_mistake_is_one_line_without_a_secret(properties: dict[str, str], line: str) -> None:
    with pytest.raises(BrokerError) as caught:
        security_of(properties)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_connection_shows_no_secret() -> None:
    properties = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "ann"}
    connection = Connection.from_options("kafka:9092", properties | {"sasl.password": SECRET})
    assert repr(connection) == "Connection(bootstrap='kafka:9092')"
    assert connection.client()["sasl_plain_password"] == SECRET
    assert hash(connection) == hash(Connection("kafka:9092"))
