"""The main job shown on real data, and audited. Law: the audit believes the topics alone, not who wrote them.

`run` is `streamml demo`; `audit.audit` is of use for any run of any topology.
"""

from streamml.demo.command import run

__all__ = ["run"]
