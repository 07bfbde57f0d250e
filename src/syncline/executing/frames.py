"""Values on a pipe between two processes of one command: their length, and they themselves."""

from __future__ import annotations

import asyncio
import pickle
import struct
from typing import Any

_LENGTH = struct.Struct(">Q")
BEAT: tuple[()] = ()
"""Says that whoever has been asked is at work; an answer is a tuple that holds it."""


async def receive(reader: asyncio.StreamReader) -> Any:
    """Read the next value.

    Raises:
        EOFError: the other process has closed its end, or is gone.

    """
    try:
        (size,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        return pickle.loads(await reader.readexactly(size))  # noqa: S301  the pipe is between a command and its own child
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise EOFError from error


def framed(value: Any) -> bytes:
    """Write a value."""
    body = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body
