"""Comparing a page of the source with the documents of its keys. The hot loop of verification; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from bson.decimal128 import Decimal128

from syncline.model.canonical import encoded_body
from syncline.model.mark import BATCH_BITS
from syncline.ports import Document


@dataclass(slots=True)
class EncodedPage:
    """Records of the source, encoded as the relay writes them."""

    documents: Sequence[Document]
    keys: Sequence[str]
    bodies: dict[bytes, int] = field(default_factory=dict)
    """Encoding (without the fields that only say when it was written) to the record's place."""
    suspects: set[str] = field(default_factory=set)
    """Records that cannot be encoded, and keys that occur twice."""
    bytes: int = 0


@dataclass(slots=True)
class Comparison:
    """What a first look at a page says."""

    suspects: set[str] = field(default_factory=set)
    """Keys that need a second look."""
    tickets: list[tuple[str, int]] = field(default_factory=list)
    """Keys that are equal, with a ticket above the bound that was given."""


def encode_page(
    documents: Sequence[Document], keys: Sequence[str], encode: Callable[[Document], bytes], *, keys_only: bool = False
) -> EncodedPage:
    """Encode the records of a page."""
    page = EncodedPage(documents, keys)
    bodies, size = page.bodies, 0
    for place, document in enumerate(documents):
        try:
            encoded = encode(document)
        except Exception:  # noqa: BLE001  the driver has several kinds; the second look says which field
            page.suspects.add(keys[place])
            continue
        size += len(encoded)
        body = encoded if keys_only else encoded_body(encoded)
        if body is None or bodies.setdefault(body, place) != place:
            page.suspects.add(keys[place])
    page.bytes = size
    return page


def compare_page(
    page: EncodedPage,
    found: Sequence[bytes],
    *,
    decode: Callable[[bytes], Document],
    key_text: Callable[[Any], str | None],
    same: Callable[[Document, Document], bool],
    bound: int,
    keys_only: bool = False,
) -> Comparison:
    """Compare a page with the documents that the target has for its keys.

    Equal documents have equal bytes, nearly always: those are recognised without being decoded. The rest is decoded and
    compared value by value.

    Args:
        page: the records.
        found: the documents, in any order.
        decode: decodes one.
        key_text: turns an ``_id`` into the key text.
        same: compares a record and a document by value.
        bound: tickets below it have been issued in every lane.
        keys_only: whether only keys are compared.

    """
    result = Comparison(set(page.suspects))
    waiting = dict(page.bodies)
    unlike: list[bytes] = []
    if keys_only:
        unlike = [document for document in found if waiting.pop(document, None) is None]
    else:
        for document in found:
            body = encoded_body(document)
            place = None if body is None else waiting.pop(body, None)
            if place is None:
                unlike.append(document)
            elif (ticket := int.from_bytes(document[-9:-1], "little", signed=True)) >= bound:
                result.tickets.append((page.keys[place], ticket))
    if waiting or unlike:
        _compare_values(
            page, waiting, {key_text(d["_id"]): d for d in map(decode, unlike)}, same, bound, result, keys_only
        )
    return result


def _compare_values(
    page: EncodedPage,
    waiting: Mapping[bytes, int],
    found: Mapping[str | None, Document],
    same: Callable[[Document, Document], bool],
    bound: int,
    result: Comparison,
    keys_only: bool,
) -> None:
    epoch = (bound >> BATCH_BITS) - 1
    for place in waiting.values():
        document = found.get(page.keys[place])
        if document is not None and keys_only:
            continue
        if document is None or not (same(page.documents[place], document) and issued(document, epoch)):
            result.suspects.add(page.keys[place])


def issued(document: Mapping[str, Any], epoch: int) -> bool:
    """Tell whether a document's ticket may have been issued: a number, of this epoch or an earlier one."""
    ticket: Any = document.get("_v")
    if isinstance(ticket, Decimal128):
        ticket = ticket.to_decimal()
    if isinstance(ticket, bool) or not isinstance(ticket, (int, float, Decimal)):
        return False
    try:
        number = int(ticket)
    except (ValueError, ArithmeticError):  # NaN, infinity
        return False
    return number >= 0 and number >> BATCH_BITS <= epoch
