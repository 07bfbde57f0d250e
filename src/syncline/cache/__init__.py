"""A cache in front of hot reads: one load for many readers, not older than the last invalidation, openly stale."""

from syncline.cache.cache import Cache, Reading
from syncline.cache.listened import ListenedRevocations
from syncline.cache.memory import MemoryStore
from syncline.cache.observer import CacheObserver, Counts, Event
from syncline.cache.opening import open_cache
from syncline.cache.polled import PolledRevocations
from syncline.cache.published import PublishedRevocations
from syncline.cache.revocations import OneProcess, Revocations, removal_sql, revocation_sql, setup_sql
from syncline.cache.sessions import SessionCache
from syncline.cache.shared import RedisStore
from syncline.cache.store import Store
from syncline.errors import CacheUnavailableError, LoadCancelledError

__all__ = [
    "Cache",
    "CacheObserver",
    "CacheUnavailableError",
    "Counts",
    "Event",
    "ListenedRevocations",
    "LoadCancelledError",
    "MemoryStore",
    "OneProcess",
    "PolledRevocations",
    "PublishedRevocations",
    "Reading",
    "RedisStore",
    "Revocations",
    "SessionCache",
    "Store",
    "open_cache",
    "removal_sql",
    "revocation_sql",
    "setup_sql",
]
