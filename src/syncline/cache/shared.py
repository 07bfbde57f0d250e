"""Values in Redis or Valkey, shared by processes.

Each tag has two random versions there, which an invalidation replaces. A value carries the versions from before its
load and is good only while they are the same; a version that is gone (evicted, expired, flushed) equals none.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from syncline.breaker import CircuitBreaker
from syncline.cache.store import Entry, Lifetime, Look, Stamp
from syncline.errors import CacheUnavailableError, ConfigError

if TYPE_CHECKING:
    from redis.asyncio import Redis

_log = structlog.get_logger("syncline")

CONNECTIONS = 50
VERSIONS_KEPT = timedelta(days=1)


class RedisStore:
    """Keeps values as JSON in Redis or Valkey; what JSON cannot say comes back changed (times as text, say).

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        prefix: of every name it uses there.
        limit: for one question; a server that hangs costs a read no more.
        rest: after a failure, how long values are loaded without asking it.
        encode: from a value to bytes, by default JSON.
        decode: back.

    Invalidations that cannot be delivered are kept and delivered later; until then this process uses no value that they
    concern. Other processes may see one from before such an invalidation until its time to live is over.

    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "syncline:cache:",
        limit: timedelta = timedelta(milliseconds=250),
        rest: timedelta = timedelta(seconds=1),
        encode: Callable[[Any], bytes] = orjson.dumps,
        decode: Callable[[bytes], Any] = orjson.loads,
    ) -> None:
        self._redis = client(url, limit.total_seconds())
        self._prefix = prefix
        self._limit = limit.total_seconds()
        self._encode, self._decode = encode, decode
        self._breaker = CircuitBreaker(rest.total_seconds())
        self._owed: dict[tuple[str, bool], int] = {}
        self._invalidations = 0
        self._settling: asyncio.Task[None] | None = None

    async def look(self, key: str, tags: Sequence[str]) -> Look:
        """Find a value in one round trip; tags without a version get one in two more."""
        if self._breaker.refuses():
            raise CacheUnavailableError
        if self._owed and any((tag, False) in self._owed for tag in tags):
            await self._settle()
        names = self._versions(tags)
        async with self._asking():
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.pttl(self._value(key))
            pipeline.mget([self._value(key), *names])
            left, (stored, *versions) = await pipeline.execute()
            if None in versions:
                versions = await self._created(names)
            stamp = Stamp(tuple(versions[::2]), tuple(versions[1::2]))
            return Look(stamp, self._entry(stored, left, stamp) if stored and left > 0 else None)

    async def write(self, key: str, tags: Sequence[str], stamp: Stamp, value: Any, life: Lifetime) -> None:  # noqa: ARG002
        """Keep a value with the versions of before its load."""
        total, stale = (round(span / timedelta(milliseconds=1)) for span in (life.total, life.stale))
        if total <= 0:
            return
        try:
            content = self._encode(value)
        except (TypeError, ValueError) as error:
            _log.warning("a value cannot be cached", key=key, error=str(error))
            raise CacheUnavailableError(f"the value of {key!r} cannot be stored: {error}") from error
        head = orjson.dumps([total, stale, _texts(stamp.current), _texts(stamp.removed)])
        async with self._asking():
            await self._redis.set(self._value(key), head + b"\n" + content, px=total)

    async def invalidate(self, tags: Sequence[str], *, remove: bool) -> None:
        """Replace the tags' versions; what cannot be delivered now is delivered in the background."""
        self._invalidations += 1
        self._owed |= {
            (tag, kind): self._invalidations for tag in tags for kind in ((False, True) if remove else (False,))
        }
        try:
            await self._settle()
        except CacheUnavailableError:
            if self._settling is None or self._settling.done():
                self._settling = asyncio.create_task(self._settle_later())
            raise

    async def close(self) -> None:
        """Close the connections."""
        if self._settling is not None:
            self._settling.cancel()
            await asyncio.wait({self._settling})
        await self._redis.aclose()

    async def _settle(self) -> None:
        owed = dict(self._owed)
        async with self._asking():
            pipeline = self._redis.pipeline(transaction=False)
            for tag, removed in owed:
                pipeline.set(self._version(tag, removed=removed), secrets.token_bytes(8), px=VERSIONS_KEPT)
            await pipeline.execute()
        for item, number in owed.items():
            if self._owed.get(item) == number:  # else it was invalidated again meanwhile
                del self._owed[item]

    async def _settle_later(self) -> None:
        while self._owed:
            await asyncio.sleep(self._breaker.rest)
            with contextlib.suppress(CacheUnavailableError):
                await self._settle()

    async def _created(self, names: Sequence[str]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for name in names:
            pipeline.set(name, secrets.token_bytes(8), px=VERSIONS_KEPT, nx=True)
        await pipeline.execute()
        return [version or secrets.token_bytes(8) for version in await self._redis.mget(names)]

    def _entry(self, stored: bytes, left: int, stamp: Stamp) -> Entry | None:
        head, _, content = stored.partition(b"\n")
        try:
            total, stale, current, removed = orjson.loads(head)
            if removed != _texts(stamp.removed):
                return None
            value = self._decode(content)
        except ValueError:
            return None  # another program's, or another version's: load it again
        fresh = left > stale and current == _texts(stamp.current)
        return Entry(value, timedelta(milliseconds=total - left), fresh, timedelta(milliseconds=left - stale))

    @contextlib.asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        from redis.exceptions import RedisError

        try:
            async with asyncio.timeout(self._limit):
                yield
        except (RedisError, OSError, TimeoutError) as error:
            if self._breaker.failed():
                _log.warning("the cache's server does not answer; values are loaded", error=str(error))
            raise CacheUnavailableError(f"the cache's server does not answer: {error}") from error
        self._breaker.succeeded()

    def _value(self, key: str) -> str:
        return f"{self._prefix}value:{key}"

    def _version(self, tag: str, *, removed: bool) -> str:
        return f"{self._prefix}{'removed' if removed else 'current'}:{tag}"

    def _versions(self, tags: Sequence[str]) -> list[str]:
        return [self._version(tag, removed=removed) for tag in tags for removed in (False, True)]


def _texts(versions: Sequence[object]) -> list[str]:
    return [version.hex() if isinstance(version, bytes) else str(version) for version in versions]


def client(url: str, seconds: float) -> Redis:
    """Make a client whose every wait ends after some seconds.

    Raises:
        ConfigError: the URL is not valid, or the package ``redis`` is missing.

    """
    try:
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as error:
        raise ConfigError("a shared cache needs the package redis", hint="pip install 'syncline[redis]'") from error
    try:
        pool: Any = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=seconds,
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            retry=Retry(NoBackoff(), 1),  # a connection that the server closed while it was idle
        )
    except ValueError as error:
        raise ConfigError("the cache's URL is not valid", hint="like redis://localhost:6379/0") from error
    return Redis.from_pool(pool)
