"""State that outgrows memory: bytes by key on a local disk, always as of one offset of its changelog.

Law: a store is a cache of a changelog. It is never ahead of what was committed, and losing it loses time only.
"""

from streamml.stores.rocks import Store, open_store

__all__ = ["Store", "open_store"]
