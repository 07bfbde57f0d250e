"""Comparing a page of the source with the documents that the target has in its place. The hot loop; pure."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from syncline.model.canonical import TAIL
from syncline.model.mark import BATCH_BITS
from syncline.model.tickets import issued
from syncline.ports import Document

_TAIL = cast("Callable[[bytes, int], tuple[bytes, int, bytes, int]]", struct.Struct("<11sq4sQx").unpack_from)
_SYNCED_AT, _VERSION = b"\x09_syncedAt\x00", b"\x12_v\x00"


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
    extra: list[str] = field(default_factory=list)
    """Keys of documents that are not on the page."""
    foreign: list[Any] = field(default_factory=list)
    """Ids of documents that no row can have."""


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
        # Records of a Projection end with the two fields that are left out here.
        if bodies.setdefault(encoded if keys_only else encoded[:-TAIL], place) != place:
            page.suspects.add(keys[place])
    page.bytes = size
    return page


class PageComparison:
    """Compares a page with documents as they come, in any order.

    Equal documents have equal bytes, nearly always: those are recognised without being decoded. The rest is decoded and
    compared value by value.

    Args:
        page: the records.
        decode: decodes a document.
        key_text: turns an ``_id`` into the key text; ``None``: no row can have it.
        same: compares a record and a document by value.
        bound: tickets below it have been issued in every lane.
        keys_only: whether only keys are compared.

    """

    def __init__(
        self,
        page: EncodedPage,
        *,
        decode: Callable[[bytes], Document],
        key_text: Callable[[Any], str | None],
        same: Callable[[Document, Document], bool],
        bound: int,
        keys_only: bool = False,
    ) -> None:
        self._page = page
        self._decode, self._key_text, self._same = decode, key_text, same
        self._bound = bound
        self._keys_only = keys_only
        self._waiting = dict(page.bodies)
        self._places: dict[str, int] = {}
        self._bodies: dict[int, bytes] = {}
        self.result = Comparison(set(page.suspects))

    def take(self, found: Sequence[bytes]) -> None:
        """Take in documents."""
        if self._keys_only:
            for document in found:
                if self._waiting.pop(document, None) is None:
                    self._take_unlike(document)
            return
        pop, bound, tail = self._waiting.pop, self._bound, _TAIL
        for document in found:
            place = None
            if len(document) >= TAIL:
                synced_at, _, version, ticket = tail(document, -TAIL)
                if synced_at == _SYNCED_AT and version == _VERSION:
                    place = pop(document[:-TAIL], None)
            if place is None:
                self._take_unlike(document)
            elif ticket >= bound:
                self.result.tickets.append((self._page.keys[place], ticket))

    def finish(self) -> Comparison:
        """Suspect what no document was found for."""
        self.result.suspects.update(self._page.keys[place] for place in self._waiting.values())
        return self.result

    def _take_unlike(self, encoded: bytes) -> None:
        page, result = self._page, self.result
        document = self._decode(encoded)
        key = self._key_text(document["_id"])
        if not self._places:
            self._places = {one: place for place, one in enumerate(page.keys)}
            self._bodies = {place: body for body, place in page.bodies.items()}
        place = None if key is None else self._places.get(key)
        if key is None:
            result.foreign.append(document["_id"])
        elif place is None:
            result.extra.append(key)
        elif self._keys_only or self._is_same(place, document):
            self._waiting.pop(self._bodies.get(place, b""), None)

    def _is_same(self, place: int, document: Document) -> bool:
        epoch = (self._bound >> BATCH_BITS) - 1
        return self._same(self._page.documents[place], document) and issued(document, epoch)


def compare_page(page: EncodedPage, found: Sequence[bytes], **options: Any) -> Comparison:
    """Compare a page with documents that are all there; see ``PageComparison``."""
    comparing = PageComparison(page, **options)
    comparing.take(found)
    return comparing.finish()
