"""Write the broker's lock anew: `python -m streamml.broker.relock VERSION`. Law: the lock pins every file, every byte.

For maintainers, when Kafka is upgraded. The dependency graph is walked here, once, so that no user's machine has to.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from pathlib import Path

from jgo.maven import MavenContext

from streamml.broker.artifacts import sha256_of

LOCK = Path(__file__).with_name("kafka.lock.json")


def relock(version: str) -> dict[str, object]:
    """Resolve the broker's closure at a version, fetch it and return the lock."""
    # A file that differs from the repository's published sha1 is only a warning in jgo: here it ends the work.
    logging.getLogger("jgo.maven._resolver").addHandler(_Refuse(logging.WARNING))
    with tempfile.TemporaryDirectory() as scratch:
        context = MavenContext(repo_cache=Path(scratch), timeout=60)
        root = context.create_dependency(f"org.apache.kafka:kafka_2.13:{version}")
        inputs, rest = context.resolver.resolve([root])
        found = [d.artifact for d in inputs + sorted(rest, key=lambda d: str(d.artifact)) if d.scope != "test"]
        # Kafka's own distribution adds the bridge from slf4j to log4j, which its Maven artifact leaves out.
        log4j = next(a.version for a in found if a.artifactId == "log4j-core")
        found.append(context.project("org.apache.logging.log4j", "log4j-slf4j-impl").at_version(log4j).artifact())
        files = {}
        for artifact in found:
            path = artifact.resolve()
            name = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
            files[name] = {"sha256": sha256_of(path), "size": path.stat().st_size}
    return {"version": version, "files": files}


class _Refuse(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise SystemExit(record.getMessage())


if __name__ == "__main__":
    LOCK.write_text(json.dumps(relock(sys.argv[1]), indent=1) + "\n")
