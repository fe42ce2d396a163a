"""Files from a Maven repository, pinned by checksum. Law: nothing is used that is not byte for byte what the lock says.

Downloads go through jgo, which keeps a torn file if the network fails half-way and only warns about a wrong checksum:
so each one lands in a folder of its own, is compared with the lock, and only then takes its place in the cache.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from streamml.errors import BrokerError

Progress = Callable[[int, int], None]
"""Called with (bytes fetched, bytes to fetch) as a download goes on."""

_TRIES = 3
_AT_ONCE = 6
_TIMEOUT = 60
_STAMP = "verified.json"


@dataclass(frozen=True)
class Artifact:
    """One file: coordinates `group:artifact:version[:classifier[:packaging]]`, sha256 in hex, size in bytes."""

    coordinates: str
    sha256: str
    size: int

    @property
    def filename(self) -> str:
        _, artifact, version, classifier, packaging = self.parts
        return f"{artifact}-{version}{'-' if classifier else ''}{classifier}.{packaging}"

    @property
    def parts(self) -> tuple[str, str, str, str, str]:
        group, artifact, version, *rest = self.coordinates.split(":")
        classifier, packaging = (*rest, "", "")[:2]
        return group, artifact, version, classifier, packaging or "jar"


def read_lock(path: Path) -> tuple[str, list[Artifact]]:
    """The version that a lock file pins and its files, in class path order."""
    lock = json.loads(path.read_text())
    return lock["version"], [Artifact(name, pin["sha256"], pin["size"]) for name, pin in lock["files"].items()]


def cache_home() -> Path:
    """The user's cache folder of streamml; `STREAMML_CACHE` names another one."""
    return Path(os.environ.get("STREAMML_CACHE") or user_cache_path("streamml"))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock between processes and threads; it goes with the process that held it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def ensure(files: list[Artifact], folder: Path, progress: Progress | None = None) -> list[Path]:
    """Bring `files` into `folder`, unless they are there already, and return their paths in the same order.

    A file whose checksum was verified once is known again by its size and modification time; anything else is read and
    compared, and fetched again if it differs. Nothing is asked of the network while the folder is whole.

    Raises BrokerError if a file cannot be fetched or is not what the lock says.
    """
    paths = [folder / file.filename for file in files]
    with locked(folder / ".lock"):
        stamps = _read_stamps(folder / _STAMP)
        missing = [
            file for file, path in zip(files, paths, strict=True) if not _verified(file, path, stamps.get(path.name))
        ]
        if missing:
            _fetch_all(missing, folder, progress)
        found = {file.filename: [file.sha256, *_marks(path)] for file, path in zip(files, paths, strict=True)}
        if found != stamps:
            _replace(folder / _STAMP, json.dumps(found, indent=0))
    return paths


def _read_stamps(path: Path) -> Mapping[str, list[object]]:
    try:
        stamps = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return stamps if isinstance(stamps, dict) else {}


def _marks(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _verified(file: Artifact, path: Path, stamp: list[object] | None) -> bool:
    try:
        marks = _marks(path)
    except OSError:
        return False
    if stamp == [file.sha256, *marks]:
        return True
    return marks[0] == file.size and sha256_of(path) == file.sha256


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _replace(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def _fetch_all(files: list[Artifact], folder: Path, progress: Progress | None) -> None:
    total, done = sum(file.size for file in files), 0
    report = progress or (lambda done, total: None)
    report(done, total)
    for torn in folder.glob(".fetch-*"):  # of a process that was killed while it fetched
        shutil.rmtree(torn, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch,
        _quiet_checksums(),
        ThreadPoolExecutor(_AT_ONCE) as pool,
    ):
        pending = [pool.submit(_fetch, file, Path(scratch), folder) for file in files]
        try:
            for file, future in zip(files, pending, strict=True):
                future.result()
                done += file.size
                report(done, total)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


@contextmanager
def _quiet_checksums() -> Iterator[None]:
    # jgo warns when a file differs from the repository's own sha1; the comparison with the lock says it better.
    logger = logging.getLogger("jgo.maven._resolver")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _fetch(file: Artifact, scratch: Path, folder: Path) -> None:
    from jgo.maven import MavenContext  # with all of requests: 0.2 s that only a download has to pay

    group, artifact, version, classifier, packaging = file.parts
    problem = ""
    for attempt in range(_TRIES):
        # A cache of its own for each attempt: jgo would take a torn file of the attempt before for the whole one.
        cache = scratch / f"{file.filename}.{attempt}"
        context = MavenContext(repo_cache=cache, remote_repos=_repositories(), timeout=_TIMEOUT)
        try:
            got = context.project(group, artifact).at_version(version).artifact(classifier, packaging).resolve()
        except (OSError, RuntimeError) as error:  # what requests and jgo raise
            problem = (
                f"it cannot be fetched ({_brief(error)}): check the network, the proxy or jgo's [repositories] mirror"
            )
            continue
        if (digest := sha256_of(got)) == file.sha256:
            os.replace(got, folder / file.filename)
            return
        problem = f"its sha256 is {digest[:12]}, expected {file.sha256[:12]}: the repository or a proxy altered it"
        shutil.rmtree(cache, ignore_errors=True)
    raise BrokerError(f"{file.filename}: {problem}, then start again (fetched files are kept in {folder})")


def _repositories() -> dict[str, str]:
    """The user's mirrors (jgo's configuration) first, then Maven Central: the lock makes all of them equally safe."""
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL

    return {**GlobalSettings.load().repositories, "central": MAVEN_CENTRAL_URL}


def _brief(error: BaseException) -> str:
    """The innermost cause of a network failure, without the layers of libraries around it."""
    while (inner := error.__cause__ or error.__context__ or getattr(error, "reason", None)) is not None:
        if not isinstance(inner, BaseException) or inner is error:
            break
        error = inner
    return f"{type(error).__name__}: {error}".splitlines()[0][:160]
