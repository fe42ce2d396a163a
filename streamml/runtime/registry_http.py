"""A Confluent-compatible registry server as the schema store. Law: the server's ids count; its refusal is one line.

API: the Schema Registry REST interface, v1 (Confluent Schema Registry, Apicurio under `/apis/ccompat/v7`, Karapace).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Set
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
import orjson
from yarl import URL

from streamml.errors import IncompatibleSchema, RegistryError
from streamml.runtime.registry import Change, Strays, change_of, unknown
from streamml.schemas import Registry

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
UNKNOWN_FOR = 30.0
"""Seconds for which an id unknown to the server is not asked for again."""
TRIES = 3


class RegistryClient:
    """`url` may carry `user:password@`, which appears in no message. `load` takes in the subjects `<app>.*` only."""

    def __init__(self, url: str, app: str, registry: Registry | None = None) -> None:
        full = _parsed(url)
        self._headers = {"Accept": f"{CONTENT_TYPE}, application/json"}
        if full.user:
            self._headers["Authorization"] = aiohttp.encode_basic_auth(full.user, full.password or "", encoding="utf-8")
        self.url = str(full.with_user(None)).rstrip("/")
        self.app = app
        self.registry = Registry() if registry is None else registry
        self._session: aiohttp.ClientSession | None = None
        self._strays = Strays(UNKNOWN_FOR)
        self._unreadable: set[tuple[str, int]] = set()
        self._resolving = asyncio.Lock()

    async def load(self) -> None:
        subjects = await self._get(f"/subjects?subjectPrefix={quote(self.app, safe='')}.")
        mine = sorted(name for name in subjects or () if name.startswith(f"{self.app}."))
        await asyncio.gather(*(self._load_subject(name) for name in mine))

    async def plan(self, subject: str, schema: Mapping[str, Any]) -> Change:
        await self._load_subject(subject)
        change, _, _ = change_of(self.registry, subject, schema)
        if change == "changed":
            body = {"schema": orjson.dumps(schema).decode()}
            path = f"/compatibility/subjects/{quote(subject, safe='')}/versions/latest"
            answer = await self._ask("POST", path, body)
            if answer is not None and not answer.get("is_compatible", True):
                raise IncompatibleSchema(self._refusal(subject, answer.get("messages") or ()))
        return change

    async def register(self, subject: str, schema: Mapping[str, Any]) -> int:
        await self._load_subject(subject)
        change, _, known = change_of(self.registry, subject, schema)
        if change == "unchanged":
            return known
        body = {"schema": orjson.dumps(schema).decode()}
        answer = await self._ask("POST", f"/subjects/{quote(subject, safe='')}/versions", body, subject=subject)
        await self._load_subject(subject)
        return int((answer or {})["id"])

    async def resolve(self, ids: Set[int], subject: str | None = None) -> None:
        # One at a time: units that meet the same new id at once ask once.
        async with self._resolving:
            wanted = self._strays.without(unknown(self.registry, ids, subject), subject)
            if not wanted:
                return
            if subject is None:
                await asyncio.gather(*(self._resolve(schema_id) for schema_id in sorted(wanted)))
            else:
                await self._load_subject(subject)
            self._strays.add(unknown(self.registry, wanted, subject), subject)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _resolve(self, schema_id: int) -> None:
        answer = await self._get(f"/schemas/ids/{schema_id}")
        if answer is not None:
            # An id may stand under any subject, also one of another team: here only its schema counts.
            self.registry.add(f"id {schema_id}", 1, schema_id, self._avro(f"schema id {schema_id}", answer))

    async def _load_subject(self, subject: str) -> None:
        """Take in the versions that are new. One that is not of our kind is left out: its records will be refused."""
        path = f"/subjects/{quote(subject, safe='')}/versions"
        known = {version for version, _, _ in self.registry.versions(subject)}
        for version in await self._get(path) or ():
            if version in known or (subject, version) in self._unreadable:
                continue
            answer = await self._get(f"{path}/{version}")
            if answer is None:
                continue
            try:
                schema = self._avro(f"version {version} of subject {subject}", answer)
            except RegistryError as error:
                self._unreadable.add((subject, version))
                log.warning("%s", error)
                continue
            self.registry.add(subject, int(version), int(answer["id"]), schema)

    def _avro(self, what: str, answer: Mapping[str, Any]) -> dict[str, Any]:
        if answer.get("schemaType", "AVRO") != "AVRO":
            raise RegistryError(f"{what} at {self.url} is {answer['schemaType']}, not Avro; streamml reads Avro only")
        if answer.get("references"):
            raise RegistryError(f"{what} at {self.url} refers to other subjects; register it with their types inlined")
        try:
            schema = orjson.loads(answer["schema"])
        except (orjson.JSONDecodeError, KeyError) as error:
            raise RegistryError(f"{what} at {self.url} is no Avro schema: register it anew") from error
        return schema if isinstance(schema, dict) else {"type": schema}

    def _refusal(self, subject: str, messages: Any) -> str:
        why = "; ".join(" ".join(str(m).split()) for m in messages)[:300]
        return (
            f"the registry at {self.url} refuses the new version of {subject}: {why or 'incompatible'}; "
            "give the new fields defaults, or write to a new application name"
        )

    async def _get(self, path: str) -> Any:
        """The answer, or None where the server knows no such thing."""
        return await self._ask("GET", path)

    async def _ask(self, method: str, path: str, body: object = None, subject: str = "") -> Any:
        for attempt in range(TRIES):
            try:
                return await self._once(method, path, body, subject)
            except (TimeoutError, aiohttp.ClientError, _ServerBusy) as error:
                if attempt == TRIES - 1:
                    why = " ".join(str(error).split()) or type(error).__name__
                    raise RegistryError(
                        f"the registry at {self.url} does not answer ({why}); start it, or correct --registry"
                    ) from error
                await asyncio.sleep(0.2 * 4**attempt)
        raise AssertionError("unreachable")

    async def _once(self, method: str, path: str, body: object, subject: str) -> Any:
        if self._session is None:
            # No more than 8 connections: `resolve` asks for many ids at once.
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=10),
                connector=aiohttp.TCPConnector(limit=8),
                headers=self._headers,
            )
        data = None if body is None else orjson.dumps(body)
        headers = {"Content-Type": CONTENT_TYPE} if data is not None else None
        url = URL(self.url + path, encoded=True)
        async with self._session.request(method, url, data=data, headers=headers) as response:
            raw = await response.read()
            try:
                answer = orjson.loads(raw) if raw else None
            except orjson.JSONDecodeError:
                answer = None
            status = response.status
        if status < 300:
            if answer is None:
                raise RegistryError(f"{self.url}{path} did not answer in JSON; is this a schema registry?")
            return answer
        said = answer if isinstance(answer, dict) else {}
        message = " ".join(str(said.get("message", "")).split())[:300]
        if status == 404 and (method == "GET" or path.startswith("/compatibility/")):
            if said:
                return None
            raise RegistryError(
                f"{self.url} has no {path.split('?')[0]}; is the path of the registry's API missing in --registry?"
            )
        if status == 409:
            raise IncompatibleSchema(self._refusal(subject, [message]))
        if status in (401, 403):
            raise RegistryError(
                f"the registry at {self.url} refuses the credentials ({status}); give user:password@ in --registry"
            )
        if status == 429 or status >= 500:
            raise _ServerBusy(f"HTTP {status} {message}".strip())
        code = said.get("error_code", status)
        raise RegistryError(
            f"the registry at {self.url} refuses {method} {path} (error {code}): {message or 'no reason given'}"
        )


def _parsed(url: str) -> URL:
    """Raises RegistryError, which quotes nothing of `url`: where it is torn, a password may be anywhere in it."""
    try:
        parts, full = urlsplit(url), URL(url)
    except ValueError:
        raise RegistryError(
            "--registry is no URL, its host or port cannot be read: write it as http://user:password@host:8081, "
            "with special characters of the password percent-encoded"
        ) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RegistryError("--registry must be an http(s) URL such as http://localhost:8081")
    if "@" in str(full.with_user(None)):
        raise RegistryError("--registry has an @ behind its host: percent-encode what is special in the password")
    return full


class _ServerBusy(Exception):
    """The server answers, but cannot serve now: worth another try."""
