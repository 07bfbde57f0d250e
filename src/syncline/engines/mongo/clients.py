"""Clients of MongoDB: what a target connects with, and one for all targets of a process on one server."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pymongo
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from syncline.ending import end
from syncline.engines.mongo import errors as mongo_errors
from syncline.errors import TargetError

Client = AsyncMongoClient[dict[str, Any]]

CLOSE_SECONDS = 0.3


def make_client(url: str, connect_timeout: timedelta) -> Client:
    """Make a client; it connects when it is first asked.

    Raises:
        TargetError: there can be none of this URL.

    """
    milliseconds = int(connect_timeout.total_seconds() * 1000)
    try:
        return AsyncMongoClient(
            url,
            appname="syncline",
            retryWrites=False,
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            uuidRepresentation="standard",
        )
    except (PyMongoError, ValueError) as error:  # a port, or brackets of an address, are a ValueError
        raise TargetError(f"this is not a usable MongoDB URL: {error}") from error


async def close_client(client: Client) -> None:
    """Close the pool, in time: the driver wants to tell a server that may hang of the sessions that end."""
    with pymongo.timeout(CLOSE_SECONDS):
        closing = asyncio.ensure_future(client.close())
    await asyncio.wait({closing}, timeout=CLOSE_SECONDS)
    await end(closing, seconds=CLOSE_SECONDS, again=CLOSE_SECONDS / 4)
    if closing.done() and not closing.cancelled():
        with mongo_errors.translated():
            closing.result()


class Clients:
    """One client for each URL: a client watches its servers and has a pool, whatever databases are asked for.

    The URL's path is part of it: it may name the database in which the user is known.
    """

    def __init__(self) -> None:
        self._clients: dict[tuple[str, timedelta], Client] = {}

    def client(self, url: str, connect_timeout: timedelta) -> Client:
        """Give the client of a URL.

        Raises:
            TargetError: there can be none.

        """
        key = url, connect_timeout
        if key not in self._clients:
            self._clients[key] = make_client(url, connect_timeout)
        return self._clients[key]

    async def close(self) -> None:
        """Close all, at the same time."""
        clients, self._clients = self._clients, {}
        await asyncio.gather(*map(close_client, clients.values()))
