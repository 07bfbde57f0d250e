"""The acknowledgement: one statement that removes marks under the lease, and files what became of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from syncline.model.link import Link, current
from syncline.model.mark import Mark
from syncline.ports import Acknowledgement as Acknowledgement  # noqa: PLC0414  for the relay, for now
from syncline.postgres.arrays import integers, texts
from syncline.postgres.connection import Connection, encoding_of, sayable
from syncline.postgres.dialect import Dialect, statements

_UNIQUE = re.compile(r"\bunique_key\(([\w.]+)\)")
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_ESCAPE = re.compile(r"(?<!\\)(?P<before>(?:\\\\)*)\\u(?P<code>[0-9a-f]{4})")


def statement(
    dialect: Dialect,
    *,
    history: bool,
    absent: bool,
    rejected: bool,
    unpark: bool,
    documents: bool,
    whole: bool = False,
    parts: bool = False,
) -> str:
    """Compose the acknowledgement from the parts that this one needs; ``whole`` and ``parts`` are of blocks."""
    marks = ["whole"] * whole + ["parts"] * parts
    names = ["held", *(["single", *marks, "done_of_all"] if marks else ["done"]), "bad" if rejected else "all_good"]
    if unpark:
        names.append("clear")
    if absent:
        names.append("again")
    if history:
        names.append("remember_documents" if documents else "remember")
    return _statement(dialect, tuple(names), current())


@cache
def _statement(dialect: Dialect, names: tuple[str, ...], link: Link) -> str:
    del link  # the texts are its
    parts = dict(statements("acknowledge.sql", dialect, comment=False))
    every = " UNION ALL ".join(parts[f"of_{name}"] for name in ("single", "whole", "parts") if name in names)
    parts["done_of_all"] = f"done AS ({every})"
    text = f"/* syncline */ WITH {', '.join(parts[name] for name in names)} SELECT lane FROM held"  # noqa: S608  ours
    return _UNIQUE.sub(lambda found: parts["unique_key"].format(found[1]), text)


def parameters(ack: Acknowledgement, connection: Connection) -> dict[str, Any]:
    """Turn an acknowledgement into the statement's parameters (``worker`` and ``grace`` come from elsewhere)."""
    values = numbers(ack.marks) | {"lanes": list(ack.leases), "epochs": list(ack.leases.values())}
    if ack.absent:
        values["absent_entities"], values["absent_lanes"], values["absent_keys"] = map(
            list, zip(*ack.absent, strict=True)
        )
    if ack.rejected:
        values["bad_entities"] = [entity for entity, _ in ack.rejected]
        values["bad_keys"] = [rejection.key for _, rejection in ack.rejected]
        values["bad_codes"] = [rejection.code for _, rejection in ack.rejected]
        values["bad_messages"] = [sayable(connection, rejection.message) for _, rejection in ack.rejected]
    if ack.documents:
        values["doc_entities"] = [entity for entity, _ in ack.documents]
        values["doc_keys"] = [key for _, key in ack.documents]
        encoding = encoding_of(connection)
        values["doc_bodies"] = [_storable(text, encoding) for text in ack.documents.values()]
    return values


def numbers(marks: Sequence[Mark]) -> dict[str, Any]:
    """Say which marks are meant: rows of the outbox and whole blocks by their numbers, parts by number and key."""
    parts = [mark for mark in marks if mark[6] is not None and not mark.whole]
    return {
        "seqs": integers([mark[0] for mark in marks if mark[6] is None]),
        "whole": integers([mark[0] for mark in marks if mark[6] is not None and mark.whole]),
        "parted": integers({mark.seq for mark in parts}),
        "block_of": integers([mark.seq for mark in parts for _ in mark.all_keys]),
        "block_keys": texts([key for mark in parts for key in mark.all_keys]),
    }


def _storable(text: str, encoding: str | None) -> str:
    """Give JSON a form that the source's jsonb takes; a backslash that is text itself is doubled there.

    Args:
        text: in ASCII, with escapes.
        encoding: of a source that has not every character: what it lacks is spelt out.

    """
    without_nul = _NUL.sub(r"\1", text) if "\\u0000" in text else text
    if encoding is None or "\\u" not in without_nul:
        return without_nul

    def spelt(found: re.Match[str]) -> str:
        try:
            chr(int(found["code"], 16)).encode(encoding)
        except UnicodeEncodeError:
            return f"{found['before']}\\\\u{found['code']}"
        return found[0]

    return _ESCAPE.sub(spelt, without_nul)
