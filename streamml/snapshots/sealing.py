"""A payload becomes signed chunks. Law: the header says all that is needed to refuse it before it is opened."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from streamml.snapshots.environment import environment

FORMAT = 1
CHUNK = 512 << 10
"""Bytes of payload in one record: under Kafka's usual limit of 1 MB for a record."""


def seal(
    payload: bytes, *, model: str, digest: str, position: int, offset: int, at: int, key: bytes | None
) -> list[tuple[str, dict[str, Any]]]:
    """Cut `payload` into Snapshot records of at most 512 KiB, each with its key `model/position/chunk`.

    `position` counts the examples that the model has learned, `offset` is that of the next one to learn, `at` is in ms
    since the epoch. With a `key` the header is signed, and the payload through its hash.
    """
    chunks = max(1, -(-len(payload) // CHUNK))
    header: dict[str, Any] = {
        "format": FORMAT,
        "model": model,
        "digest": digest,
        "position": position,
        "offset": offset,
        "environment": environment(),
        "size": len(payload),
        "chunks": chunks,
        "sha256": hashlib.sha256(payload).hexdigest(),
        "signature": None,
        "at": at,
    }
    header["signature"] = None if key is None else signature(header, key)
    return [
        (
            f"{model}/{position}/{chunk}",
            {"header": header, "chunk": chunk, "payload": payload[chunk * CHUNK : (chunk + 1) * CHUNK]},
        )
        for chunk in range(chunks)
    ]


def key_of(secret: bytes, app: str) -> bytes:
    """The signing key of one application: what is signed for another one under the same secret is forged here."""
    return hmac.new(secret, b"streamml snapshots of " + app.encode(), hashlib.sha256).digest()


def signature(header: Mapping[str, Any], key: bytes) -> str:
    """HMAC-SHA256 (RFC 2104) over the header without its signature, as JSON with sorted keys; hexadecimal."""
    return hmac.new(key, canonical(header).encode(), hashlib.sha256).hexdigest()


def canonical(header: Mapping[str, Any]) -> str:
    """The header without its signature in one unambiguous form."""
    signed = {name: value for name, value in header.items() if name != "signature"}
    return json.dumps(signed, sort_keys=True, separators=(",", ":"))
