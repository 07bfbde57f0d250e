"""A cache from a URL, or in this process."""

from __future__ import annotations

from typing import Any

from syncline.cache.cache import Cache
from syncline.cache.memory import MemoryStore
from syncline.cache.shared import RedisStore


def open_cache(url: str | None = None, *, name: str = "cache", size: int = 10_000, **options: Any) -> Cache:
    """Open a cache: in Redis or Valkey where a URL is given, else in this process.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``; ``None`` or empty: in this process.
        name: its name in metrics; also keeps it apart from other caches on the same server.
        size: how many values, in this process.
        options: those of ``Cache``.

    Raises:
        ConfigError: the URL is not valid, or the package ``redis`` is missing.

    """
    store = RedisStore(url, prefix=f"syncline:cache:{name}:") if url else MemoryStore(size)
    return Cache(store, name=name, **options)
