"""What is said of things beside their definition: comments, rights, what an index is for. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from syncline.split.schema.reading import Source
from syncline.split.schema.things import Key

NEW_RIGHTS = {"MAINTAIN": 17}
"""What a release knows first."""


def belongings(source: Source, roles: frozenset[str], major: int) -> Mapping[Key, list[str]]:
    """Bring comments and rights to what they are about; roles and rights that the other side lacks are left out."""
    found: dict[Key, list[str]] = {}
    home = source.graph.home
    for one, oid, head, text in source.blocks["comments"]:
        found.setdefault(home((one, oid)), []).append(head + text)
    for one, oid, statement in source.blocks["closed"]:
        found.setdefault(home((one, oid)), []).append(statement)
    for one, oid, *right in source.blocks["grants"]:
        if (right[3] is None or right[3] in roles) and NEW_RIGHTS.get(right[4], 0) <= major:
            found.setdefault(home((one, oid)), []).append(grant(*right))
    return found


def grant(word: str, identity: str, columns: str, role: str | None, privilege: str, grantable: bool) -> str:
    """Write the statement that gives a right."""
    more = " WITH GRANT OPTION" if grantable else ""
    return f"GRANT {privilege}{columns} ON {word} {identity} TO {receiver(role)}{more}"


def receiver(role: str | None) -> str:
    """Write who has a right."""
    return "PUBLIC" if role is None else '"' + role.replace('"', '""') + '"'


def index_marks(
    on: str, name: str, index: str, replica: bool | None, clustered: bool | None, parent: str | None
) -> Iterator[str]:
    """Write what else is set of an index: the replica identity, the order of the rows, its place below the parent's."""
    if replica:
        yield f"ALTER TABLE ONLY {on} REPLICA IDENTITY USING INDEX {name}"
    if clustered:
        yield f"ALTER TABLE {on} CLUSTER ON {name}"
    if parent is not None:
        yield f"ALTER INDEX {parent} ATTACH PARTITION {index}"
