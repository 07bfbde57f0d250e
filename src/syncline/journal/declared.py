"""What is synced, as the source has it: ``syncline install`` wrote it there, and every worker takes it from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from syncline.errors import NotInstalledError, VersionError
from syncline.journal.parts import require_whole
from syncline.journal.registry import InstalledEntity, check, installed
from syncline.model.entity import Entity, TableName
from syncline.postgres.connection import Connection, translated
from syncline.postgres.sql import blocks


@dataclass(frozen=True, slots=True)
class Declared:
    """The installed entities, and how a configuration differs from them."""

    entities: Sequence[Entity]
    differences: Sequence[str]
    """For people; empty: the configuration says the same."""
    digest: str
    """Changes whenever an installation changes an entity."""


async def read_declared(connection: Connection, configured: Sequence[Entity]) -> Declared:
    """Read the installed entities.

    Fields that only the configuration masks are masked too: what is secret in either place is secret.

    Raises:
        NotInstalledError: there are none.
        VersionError: our tables are of another version, or a newer release has declared what this one does not know.

    """
    try:
        digest = await declaration_digest(connection)  # first: what changes meanwhile is seen as a change later
    except NotInstalledError:
        await require_whole(connection)  # says more, where another tool has dropped a part of our schema
        raise
    present = await installed(connection)
    masks = {entity.name: entity.mask for entity in configured}
    entities = []
    for name, one in present.items():
        entity = declaration(one)
        more = tuple(field for field in masks.get(name, ()) if field not in entity.mask)
        entities.append(replace(entity, mask=(*entity.mask, *more)))
    return Declared(entities, check(configured, present), digest)


async def declaration_digest(connection: Connection) -> str:
    """Digest what is installed; compare it to notice an installation."""
    with translated():
        row = await (await connection.execute(blocks("registry.sql")["declarations"])).fetchone()
    return str(row[0]) if row else ""


def declaration(one: InstalledEntity) -> Entity:
    """Read an entity from what ``registry.definition`` made of it.

    Raises:
        VersionError: it has parts that this release does not know.

    """
    try:
        entity: Entity = _built(Entity, one.definition)
    except _UnknownError as unknown:
        raise VersionError(
            f"entity {one.name} was installed by a newer release of Syncline: it has {unknown}, unknown to this one",
            hint="upgrade the syncline package here",
        ) from None
    return replace(entity, mask=tuple(one.mask or ()))


class _UnknownError(Exception):
    """Names parts of a declaration that no class here has."""


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _built(kind: Any, plain: Mapping[str, Any]) -> Any:
    hints = _hints(kind)
    if unknown := plain.keys() - hints.keys():
        raise _UnknownError(", ".join(sorted(unknown)))
    return kind(**{name: _value(hints[name], value) for name, value in plain.items()})


def _value(hint: Any, plain: Any) -> Any:
    if hint is TableName:
        return TableName.parse(plain)
    if is_dataclass(hint):
        return _built(hint, plain)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        kinds = [one for one in arguments if one is TableName or is_dataclass(one) or get_origin(one) is not None]
        return plain if plain is None or not kinds else _value(kinds[0], plain)
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return tuple(_value(arguments[0], item) for item in plain)
        return tuple(_value(one, item) for one, item in zip(arguments, plain, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        return {name: _value(arguments[1], item) for name, item in plain.items()}
    return plain
