"""From the bytes of a document to its fields, whoever wrote it, so that writing them gives the same bytes.

The driver decodes where encoding again shows that nothing is lost. The rest is read here: what no Python value says
(a symbol, text that is no UTF-8, a document with two fields of one name) stays as the bytes that it is, an ``Odd``.
"""

from __future__ import annotations

from typing import Any

import bson

from syncline.model.strict_bson import ARRAY, AS_STORED, DOCUMENT, Odd, elements, encoded, value_of


def read(document: bytes) -> dict[str, Any] | Odd:
    """Decode a document; ``Odd`` where two of its fields have one name, or a name is no UTF-8."""
    if b"$ref\0" not in document:  # drivers make references of such documents
        try:
            found: dict[str, Any] = bson.decode(document, AS_STORED)
            if bson.encode(found, codec_options=AS_STORED) == document:
                return found
        except Exception:  # noqa: BLE001, S110  what the driver cannot decode is read below
            pass
    return _fields(document)


def first_fields(document: bytes) -> dict[str, Any]:
    """Decode what can be told of an ``Odd`` document: of fields with one name the first, none without a proper name."""
    found: dict[str, Any] = {}
    for tag, name, payload in elements(document):
        if (text := _text(name)) is not None:
            found.setdefault(text, _value(tag, payload))
    return found


def write(document: dict[str, Any]) -> bytes:
    """Encode what ``read`` gave."""
    return encoded(document)


def _fields(document: bytes) -> dict[str, Any] | Odd:
    found: dict[str, Any] = {}
    for tag, name, payload in elements(document):
        text = _text(name)
        if text is None or text in found:
            reason = "a name that is no UTF-8" if text is None else f"two fields called {text!r}"
            return Odd(f"a document with {reason}", DOCUMENT, document)
        found[text] = _value(tag, payload)
    return found


def _value(tag: int, payload: bytes) -> Any:
    if tag == DOCUMENT:
        return _fields(payload)
    if tag == ARRAY:
        return _array(payload)
    return value_of(tag, payload, AS_STORED)


def _array(payload: bytes) -> Any:
    values = []
    for place, (tag, name, inner) in enumerate(elements(payload)):
        if name != b"%d" % place:
            return Odd("an array with other places", ARRAY, payload)
        values.append(_value(tag, inner))
    return values


def _text(name: bytes) -> str | None:
    try:
        return name.decode()
    except UnicodeDecodeError:
        return None
