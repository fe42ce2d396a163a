"""The ids of topics. Law: a topic that was deleted and made anew is another topic, though its name is the same.

aiokafka speaks no version of the metadata request that carries ids (KIP-516): versions 12 and 4 are told to it here.
"""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from typing import Any, TypeAlias

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import NoError, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.metadata import MetadataRequest_v4
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

_METADATA = 3
_WITHOUT_IDS = b""
"""The id of every topic of a broker older than Kafka 3.1."""


async def topic_ids(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, bytes | None]:
    """The id of each topic, None for one that does not exist; one that this user may not see is left out.

    Asking creates no topic, even where the broker is set to create what is asked for. Raises `KafkaError`.
    """
    answer = await admin._send_request(_Ask(list(names)))
    found: dict[str, bytes | None] = {}
    for topic in answer.to_object()["topics"]:
        name, error = topic.get("name") or topic.get("topic"), for_code(topic["error_code"])
        if error is UnknownTopicOrPartitionError:
            found[name] = None
        elif error is NoError:
            found[name] = topic.get("id", _WITHOUT_IDS)
    return found


class _Id(AbstractType[bytes]):  # type: ignore[misc]  # aiokafka is untyped
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)


_NAME = CompactString("utf-8")
_NODES = CompactArray(Int32)


class _Answer_v12(Response):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = _METADATA
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(("id", Int32), ("host", _NAME), ("port", Int32), ("rack", _NAME), ("tags", TaggedFields)),
        ),
        ("cluster", _NAME),
        ("controller", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", _NAME),
                ("id", _Id),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", _NODES),
                        ("isr", _NODES),
                        ("offline", _NODES),
                        ("tags", TaggedFields),
                    ),
                ),
                ("operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _Ask_v12(RequestStruct):  # type: ignore[misc]  # aiokafka is untyped
    FLEXIBLE_VERSION = True
    API_KEY = _METADATA
    API_VERSION = 12
    RESPONSE_TYPE = _Answer_v12
    SCHEMA = Schema(
        ("topics", CompactArray(("id", _Id), ("name", _NAME), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


_AskStruct: TypeAlias = MetadataRequest_v4 | _Ask_v12


class _Ask(Request[_AskStruct]):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = _METADATA

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def build(self, request_struct_class: type[Any]) -> Any:
        if request_struct_class is MetadataRequest_v4:
            return request_struct_class(self._names, False)
        return request_struct_class([(bytes(16), name, {}) for name in self._names], False, False, {})
