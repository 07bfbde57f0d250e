"""Documents that a driver does not write: made of bytes, put in the place of a document that is right."""

from __future__ import annotations

import struct

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from syncline.model.strict_bson import elements

RAW = CodecOptions(document_class=RawBSONDocument)
Value = tuple[int, bytes]
"""Type and encoded value."""


def field(name, value: Value) -> bytes:
    return bytes([value[0]]) + (name if isinstance(name, bytes) else name.encode()) + b"\0" + value[1]


def document(*fields: bytes) -> bytes:
    inner = b"".join(fields)
    return struct.pack("<i", len(inner) + 5) + inner + b"\0"


def text(value, tag: int = 0x02) -> Value:
    value = value if isinstance(value, bytes) else value.encode()
    return tag, struct.pack("<i", len(value) + 1) + value + b"\0"


def symbol(value) -> Value:
    return text(value, 0x0E)


def code(value) -> Value:
    return text(value, 0x0D)


def scoped(value) -> Value:
    inner = text(value)[1] + document()
    return 0x0F, struct.pack("<i", len(inner) + 4) + inner


def binary(subtype: int, value: bytes) -> Value:
    return 0x05, struct.pack("<i", len(value)) + bytes([subtype]) + value


def int32(value: int) -> Value:
    return 0x10, struct.pack("<i", value)


def int64(value: int) -> Value:
    return 0x12, struct.pack("<q", value)


def double(value: float) -> Value:
    return 0x01, struct.pack("<d", value)


def sub(*fields: bytes, tag: int = 0x03) -> Value:
    return tag, document(*fields)


UNDEFINED: Value = (0x06, b"")
POINTER: Value = (0x0C, text("x")[1] + b"a" * 12)
REFERENCE = sub(field("$ref", text("x")), field("$id", int32(1)))


def with_field(stored: bytes, name: str, *values: Value) -> bytes:
    """Give the document with other values of one field, where the first of them is."""
    fields, done = [], False
    for tag, own, value in elements(stored):
        if own != name.encode():
            fields.append(field(own, (tag, value)))
        elif not done:
            done = True
            fields += [field(name, one) for one in values]
    return document(*fields) if done else document(*fields, *(field(name, one) for one in values))


def replace_stored(collection, id_, change) -> None:
    """Change a document's bytes; ``change`` is given what is stored."""
    raw = collection.with_options(RAW)
    stored = bytes(raw.find_one({"_id": id_}).raw)
    raw.delete_one({"_id": id_})
    raw.insert_one(RawBSONDocument(change(stored)))


def insert_stored(collection, *fields: bytes) -> None:
    collection.with_options(RAW).insert_one(RawBSONDocument(document(*fields)))
