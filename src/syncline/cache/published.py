"""Revocations by publish and subscribe in Redis or Valkey, for who has one and no direct connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from syncline.cache.listener import INTERVAL, SILENCE, Listener
from syncline.cache.revocations import DELAY, Heard
from syncline.cache.shared import client
from syncline.clock import boottime
from syncline.errors import CacheUnavailableError

if TYPE_CHECKING:
    from redis.asyncio.client import PubSub


class PublishedRevocations(Listener):
    """Hears what is published on one channel. A revocation is published after the commit, not by it.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        channel: the same for all processes of an application.

    Raises:
        ConfigError: the URL is not valid, or the package ``redis`` is missing.

    """

    def __init__(self, url: str, *, channel: str = "syncline:sessions") -> None:
        super().__init__()
        self._url = url
        self._channel = channel
        self._publisher = client(url, DELAY)

    async def listen(self, heard: Heard) -> None:
        """Subscribe with one connection until it ends; an answer to a ping comes after what was published before it."""
        from redis.exceptions import RedisError

        try:
            async with client(self._url, SILENCE) as redis, redis.pubsub() as channel:
                await channel.subscribe(self._channel)
                while True:
                    await self._pinged(channel, heard)
        except RedisError as error:
            raise CacheUnavailableError(f"the cache's server does not answer: {error}") from error

    async def revoke(self, names: Sequence[bytes]) -> None:
        """Publish."""
        from redis.exceptions import RedisError

        try:
            async with asyncio.timeout(DELAY):
                pipeline = self._publisher.pipeline(transaction=False)
                for name in names:
                    pipeline.publish(self._channel, name.hex())
                await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as error:
            raise CacheUnavailableError(f"the cache's server does not answer: {error}") from error

    async def close(self) -> None:
        """Stop listening and close the connections."""
        await super().close()
        await self._publisher.aclose()

    async def _pinged(self, channel: PubSub, heard: Heard) -> None:
        """Ping, and take in what comes until the answer and for ``INTERVAL`` after it."""
        asked, began = boottime(), time.monotonic()
        until = began + SILENCE
        answered = False
        await channel.ping()
        while (left := until - time.monotonic()) > 0:
            message = await channel.get_message(timeout=left)
            kind = message["type"] if message else None
            if kind == "subscribe":
                heard(None)
            elif kind == "message" and message:
                heard([bytes.fromhex(message["data"].decode())])
            elif kind == "pong":
                self.proved(asked)
                answered, until = True, began + INTERVAL
        if not answered:
            raise TimeoutError("no answer to a ping")
