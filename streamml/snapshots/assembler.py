"""Chunks become a verified snapshot. Law: it is handed out whole, unaltered, signed, and of this environment."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, NamedTuple

from streamml.errors import ForeignSnapshot, SnapshotError
from streamml.snapshots.environment import differences, environment
from streamml.snapshots.sealing import CHUNK, FORMAT, canonical, signature

_GATHERING = 8
"""Snapshots that may be incomplete at the same time: more of them are leftovers of a thinned topic."""


class Snapshot(NamedTuple):
    """A whole, verified snapshot: the fields of its header, and the bytes for `loads`."""

    header: dict[str, Any]
    payload: bytes


class Assembler:
    """Gathers the chunks of snapshots from a log in which they may be torn, out of order, doubled or mixed.

    `key` is the signing key: when it is set, an unsigned or wrongly signed snapshot is refused.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key
        self._parts: dict[tuple[str, str | None], dict[int, bytes]] = {}

    def add(self, record: Mapping[str, Any]) -> Snapshot | None:
        """Take in one Snapshot record; the snapshot that it completes, or None.

        Raises:
            SnapshotError: the snapshot that it completes, or this chunk, must not be used. Others are not affected.
        """
        header, chunk, part = dict(record["header"]), record["chunk"], record["payload"]
        name = f"the snapshot of {header['model']} at {header['position']}"
        if header["format"] != FORMAT:
            raise ForeignSnapshot(
                f"{name} has format {header['format']}, this version reads {FORMAT}; replaying the log instead"
            )
        # At once, before anything of it is kept: who cannot sign must not fill the memory either.
        self._authenticate(name, header)
        if not 0 <= chunk < header["chunks"] or len(part) > CHUNK:
            raise SnapshotError(f"{name} has a chunk {chunk} that its header rules out; replaying the log instead")
        which = (canonical(header), header["signature"])
        parts = self._parts.setdefault(which, {})
        parts[chunk] = part
        if len(parts) < header["chunks"]:
            while len(self._parts) > _GATHERING:
                del self._parts[next(iter(self._parts))]
            return None
        del self._parts[which]
        payload = b"".join(parts[index] for index in range(header["chunks"]))
        self._verify(name, header, payload)
        return Snapshot(header, payload)

    def _authenticate(self, name: str, header: dict[str, Any]) -> None:
        signed = header["signature"]
        if self._key is not None:
            if signed is None:
                raise SnapshotError(f"{name} is not signed, and STREAMML_SIGNING_KEY is set; replaying the log instead")
            if not hmac.compare_digest(signed.encode(), signature(header, self._key).encode()):
                raise SnapshotError(
                    f"{name} is not signed with this STREAMML_SIGNING_KEY, or was altered; replaying the log instead"
                )

    @staticmethod
    def _verify(name: str, header: dict[str, Any], payload: bytes) -> None:
        if len(payload) != header["size"] or hashlib.sha256(payload).hexdigest() != header["sha256"]:
            raise SnapshotError(
                f"{name} is torn: its bytes do not have the hash in its header; replaying the log instead"
            )
        found = differences(header["environment"], environment())
        if found:
            raise ForeignSnapshot(f"{name} is of another environment: {', '.join(found)}; replaying the log instead")
