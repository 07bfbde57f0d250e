"""A cache in front of hot reads: one load for many readers, not older than the last invalidation, openly stale."""

from syncline.cache.cache import Cache, LoadCancelledError, Reading
from syncline.cache.memory import MemoryStore
from syncline.cache.observer import CacheObserver, Counts, Event
from syncline.cache.opening import open_cache
from syncline.cache.shared import RedisStore
from syncline.cache.store import CacheUnavailableError, Store

__all__ = [
    "Cache",
    "CacheObserver",
    "CacheUnavailableError",
    "Counts",
    "Event",
    "LoadCancelledError",
    "MemoryStore",
    "Reading",
    "RedisStore",
    "Store",
    "open_cache",
]
