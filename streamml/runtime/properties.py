"""Client properties as operators write them for other clients, turned into aiokafka's arguments.

Law: a property is understood or refused by its name; its value is never shown."""

from __future__ import annotations

import difflib
import re
import ssl
from collections.abc import Mapping
from typing import Any

from streamml.errors import BrokerError

_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI")

_KNOWN = (
    "security.protocol",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.username",
    "sasl.password",
    "sasl.jaas.config",
    "sasl.kerberos.service.name",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.truststore.location",
    "ssl.truststore.type",
    "ssl.keystore.location",
    "ssl.keystore.type",
    "ssl.endpoint.identification.algorithm",
)


def security_of(properties: Mapping[str, str]) -> dict[str, Any]:
    """The security arguments of an aiokafka client. Raises `BrokerError`, naming the property and the fix."""
    for name in properties:
        if name not in _KNOWN:
            near = difflib.get_close_matches(name, _KNOWN, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(_KNOWN)}"
            # Without a value, what stands before the `=` may be a password that ends in one.
            which = f"client property {name!r}" if properties[name] else "a client property without a value"
            raise BrokerError(f"{which} is not known: {hint}")
    protocol = properties.get("security.protocol", "PLAINTEXT").upper()
    if protocol not in _PROTOCOLS:
        raise BrokerError(f"security.protocol must be one of {', '.join(_PROTOCOLS)}: correct it")
    if protocol == "PLAINTEXT" and len(properties) > ("security.protocol" in properties):
        raise BrokerError(
            "SASL or SSL properties are given but security.protocol is PLAINTEXT: set it to SASL_SSL, or drop them"
        )
    security: dict[str, Any] = {} if protocol == "PLAINTEXT" else {"security_protocol": protocol}
    if protocol.startswith("SASL"):
        security |= _sasl(properties)
    if protocol.endswith("SSL"):
        security["ssl_context"] = _tls(properties)
    return security


def _sasl(properties: Mapping[str, str]) -> dict[str, Any]:
    mechanism = (properties.get("sasl.mechanism") or properties.get("sasl.mechanisms") or "").upper()
    if mechanism not in _MECHANISMS:
        raise BrokerError(f"sasl.mechanism must be one of {', '.join(_MECHANISMS)}: set it as the broker demands")
    if mechanism == "GSSAPI":
        service = properties.get("sasl.kerberos.service.name", "kafka")
        return {"sasl_mechanism": mechanism, "sasl_kerberos_service_name": service}
    user, password = properties.get("sasl.username"), properties.get("sasl.password")
    if jaas := properties.get("sasl.jaas.config"):
        user, password = _jaas(jaas, "username"), _jaas(jaas, "password")
    if not user or password is None:
        raise BrokerError(f"sasl.mechanism {mechanism} needs sasl.username and sasl.password: set both")
    return {"sasl_mechanism": mechanism, "sasl_plain_username": user, "sasl_plain_password": password}


def _jaas(config: str, name: str) -> str | None:
    found = re.search(rf"""\b{name}\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([^\s;]+))""", config)
    if found is None:
        return None
    quoted, single, bare = found.groups()
    return re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else single if single is not None else bare


def _tls(properties: Mapping[str, str]) -> ssl.SSLContext:
    for store in ("truststore", "keystore"):
        if f"ssl.{store}.location" in properties and properties.get(f"ssl.{store}.type", "JKS").upper() != "PEM":
            raise BrokerError(f"ssl.{store}.location must be a PEM file: convert it and set ssl.{store}.type=PEM")
    authority = properties.get("ssl.ca.location") or properties.get("ssl.truststore.location")
    try:
        context = ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as error:
        raise BrokerError(f"certificate authority {authority} cannot be read ({error}): give a PEM file") from error
    if properties.get("ssl.endpoint.identification.algorithm", "https").lower() in ("", "none"):
        context.check_hostname = False
    certificate = properties.get("ssl.certificate.location") or properties.get("ssl.keystore.location")
    if certificate:
        key = properties.get("ssl.key.location")
        try:
            # An empty password, given as a function, keeps OpenSSL from asking for one on the terminal.
            context.load_cert_chain(certificate, key, password=lambda: properties.get("ssl.key.password", ""))
        except (OSError, ssl.SSLError) as error:
            raise BrokerError(
                f"client certificate {certificate} (key {key or 'in the same file'}) cannot be loaded ({error}): "
                "check both files and ssl.key.password"
            ) from error
    return context
