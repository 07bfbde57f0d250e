"""MongoDB's wire protocol, as much as a server needs: requests to a command's BSON, replies to bytes. No I/O.

See "MongoDB Wire Protocol" (OP_MSG, and OP_QUERY for the first hello) and bsonspec.org.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import bson

OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
CHECKSUM_PRESENT, MORE_TO_COME = 1, 2
HEADER = struct.Struct("<iiii")
"""Length of the whole message, request id, answered request id, operation."""

_I32 = struct.Struct("<i")
_FIXED_BYTES = {1: 8, 6: 0, 7: 12, 8: 1, 9: 8, 10: 0, 16: 4, 17: 8, 18: 8, 19: 16, 127: 0, 255: 0}
_LENGTH_BEFORE = {2: 4, 13: 4, 14: 4, 3: 0, 4: 0, 15: 0, 5: 5, 12: 16}
"""Types that begin with their length, and how many bytes that does not count."""
_EMPTY_DOCUMENT_BYTES = 5
_REMOVED = frozenset({b"$db", b"lsid", b"$clusterTime"})
"""The engine adds ``$db`` itself and knows no sessions and no clusters."""

_MAJORITY_OF_ONE = b"\x03writeConcern\x00" + bson.encode({"w": 1, "j": True})
"""What "majority" means on a server without others. The engine does not wait for its journal when it is asked for a
majority, not even with ``j: true``: in 9 of 25 runs it lost acknowledged writes in a kill, and with this in none."""


class ProtocolError(Exception):
    """These bytes are not a message."""


@dataclass(frozen=True, slots=True)
class Request:
    """A command as the engine takes it."""

    database: str
    name: bytes
    """Of the command: the name of the first field."""
    body: bytes
    wants_reply: bool
    in_transaction: bool
    """It carries a transaction number (a retryable write does, too)."""


def read_request(operation: int, payload: bytes) -> Request:
    """Read what follows the header.

    Raises:
        ProtocolError: it is no request, or a damaged one.

    """
    try:
        if operation == OP_MSG:
            return _read_message(payload)
        if operation == OP_QUERY:
            start = payload.index(0, 4) + 9
            return _request(payload[start : start + _i32(payload, start)], [], wants_reply=True)
    except (IndexError, ValueError, struct.error) as error:
        raise ProtocolError(str(error)) from error
    raise ProtocolError(f"operation {operation}")


def write_reply(operation: int, *, reply_id: int, request_id: int, body: bytes) -> bytes:
    """Frame a reply in the way of the request."""
    if operation == OP_MSG:
        return struct.pack("<iiiiIB", 21 + len(body), reply_id, request_id, OP_MSG, 0, 0) + body
    return struct.pack("<iiiiiqii", 36 + len(body), reply_id, request_id, OP_REPLY, 8, 0, 0, 1) + body


def _read_message(payload: bytes) -> Request:
    (flags,) = struct.unpack_from("<I", payload, 0)
    end = len(payload) - (4 if flags & CHECKSUM_PRESENT else 0)
    position, body, sequences = 4, b"", []
    while position < end:
        kind = payload[position]
        start = position + 1
        stop = start + _i32(payload, start)
        if kind == 0:
            body = payload[start:stop]
        else:
            sequences.append(_array_of_sequence(payload, start + 4, stop))
        position = stop
    return _request(body, sequences, wants_reply=not flags & MORE_TO_COME)


def _array_of_sequence(payload: bytes, position: int, stop: int) -> bytes:
    """Turn a document sequence into the array field that it stands for."""
    name_end = payload.index(0, position)
    name, position = payload[position:name_end], name_end + 1
    parts, number = [], 0
    while position < stop:
        next_position = position + max(_i32(payload, position), _EMPTY_DOCUMENT_BYTES)
        parts.append(b"\x03%d\x00" % number)
        parts.append(payload[position:next_position])
        position, number = next_position, number + 1
    array = b"".join(parts)
    return b"\x04" + name + b"\x00" + _I32.pack(len(array) + 5) + array + b"\x00"


def _request(body: bytes, sequences: list[bytes], *, wants_reply: bool) -> Request:
    """Walk the top-level fields once: leave out or replace what the engine cannot do, and add the sequences."""
    kept, keep_from, database, in_transaction = [], 4, "admin", False
    position, end = 4, _i32(body, 0) - 1
    while position < end:
        name_end = body.index(0, position + 1)
        name, value = body[position + 1 : name_end], name_end + 1
        next_position = _end_of_value(body, body[position], value)
        if name in _REMOVED:
            kept.append(body[keep_from:position])
            keep_from = next_position
            if name == b"$db":
                database = body[value + 4 : next_position - 1].decode()
        elif name == b"writeConcern" and b"majority" in body[value:next_position]:
            kept += [body[keep_from:position], _MAJORITY_OF_ONE]
            keep_from = next_position
        elif name == b"txnNumber":
            in_transaction = True
        position = next_position
    kept += [body[keep_from:end], *sequences]
    fields = b"".join(kept)
    command = body[5 : body.index(0, 5)]
    return Request(database, command, _I32.pack(len(fields) + 5) + fields + b"\x00", wants_reply, in_transaction)


def _end_of_value(body: bytes, type_: int, position: int) -> int:
    if type_ in _FIXED_BYTES:
        return position + _FIXED_BYTES[type_]
    if type_ in _LENGTH_BEFORE:
        return position + _LENGTH_BEFORE[type_] + _i32(body, position)
    if type_ == 11:  # a regular expression: two strings, each up to its zero byte
        return body.index(0, body.index(0, position) + 1) + 1
    raise ProtocolError(f"BSON type {type_}")


def _i32(data: bytes, position: int) -> int:
    value: int = _I32.unpack_from(data, position)[0]
    if value < 0:
        raise ProtocolError(f"length {value}")
    return value
