"""Whose a table is: rules of the configuration, and models declared in code; one answer, or an error naming both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from syncline.errors import ConfigError, RoutingError
from syncline.split.names import Name

_REMEMBERED = 10_000
"""So many names are remembered: programs make up names of tables, too."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration says of one database."""

    schema: str = "public"
    """Where names without a schema are found."""
    tables: tuple[str, ...] = ()
    schemas: tuple[str, ...] = ()
    rest: bool = False


class Ownership:
    """The map from tables to databases."""

    def __init__(self, rules: Mapping[str, Rules], *, everywhere: tuple[str, ...] = ()) -> None:
        self._rules = dict(rules)
        self._everywhere = everywhere
        self._known: dict[Name, str | None] = {}
        self._known_at = 0
        self._declared: dict[str, list[Any]] = {name: [] for name in rules}

    @property
    def names(self) -> tuple[str, ...]:
        """The databases, in the order of the configuration."""
        return tuple(self._rules)

    @property
    def default(self) -> str:
        """Where statements without a table go: the database of the rest, or the first."""
        return next((name for name, rules in self._rules.items() if rules.rest), self.names[0])

    def declare(self, database: str, models: Any) -> None:
        """Say that models live in a database: a declarative base, a model, a ``MetaData`` or a ``Table``.

        Raises:
            ConfigError: there is no such database.

        """
        self.see(database)
        self._declared[database].append(models)

    def declared(self, database: str) -> tuple[Any, ...]:
        """Give the models that live in a database, as they were declared."""
        return tuple(self._declared[database])

    def schemas(self, database: str) -> frozenset[str]:
        """Name the schemas in which a database may have tables, as far as rules and models name them."""
        rules = self._rules[database]
        named = {Name.read(text).schema for text in rules.tables} | {name.schema for name in self.owned(database)}
        return frozenset({rules.schema, *rules.schemas, *(one for one in named if one is not None)})

    def elsewhere(self, path: Iterable[str | None]) -> bool:
        """Tell whether names without a schema are looked for where the rules do not say, along a ``search_path``."""
        return not {*path} <= {"", "pg_catalog", "$user", *(rules.schema for rules in self._rules.values())}

    def see(self, database: str) -> None:
        """See that there is such a database.

        Raises:
            ConfigError: there is none; the error names those that there are.

        """
        if database not in self._rules:
            raise ConfigError(f"there is no database {database!r}", hint=f"there are: {', '.join(self.names)}")

    def is_everywhere(self, table: Name) -> bool:
        """Tell tables that each database has for itself, such as those of migration tools."""
        return any(fnmatchcase(table.name, pattern) for pattern in self._everywhere)

    def owner(self, table: Name) -> str | None:
        """Say in which database a table is; ``None``: no rule says it.

        Raises:
            RoutingError: two databases claim it.

        """
        if (now := self.size()) != self._known_at or len(self._known) > _REMEMBERED:
            self._known, self._known_at = {}, now
        if table not in self._known:
            self._known[table] = self._decided(table)
        return self._known[table]

    def size(self) -> int:
        """Count what the declared models name: what was decided before it has grown is decided anew."""
        return sum(_size(models) for declared in self._declared.values() for models in declared)

    def _decided(self, table: Name) -> str | None:
        for rule in _LEVELS:
            found = [name for name, rules in self._rules.items() if rule(rules, self._declared[name], table)]
            if len(found) > 1:
                raise RoutingError(
                    f"the table {table} belongs to {' and to '.join(found)}",
                    hint="write it with its schema, or name it in `tables` of one of them",
                )
            if found:
                return found[0]
        return None

    def owned(self, database: str) -> Iterator[Name]:
        """List the tables that a database is known to have: those named one by one."""
        rules = self._rules[database]
        for text in rules.tables:
            if not _is_pattern(text):
                yield _full(Name.read(text), rules)
        for models in self._declared[database]:
            for name in _tables(models):
                yield _full(name, rules)


def _full(name: Name, rules: Rules) -> Name:
    return name if name.schema is not None else Name(rules.schema, name.name)


def _is_pattern(text: str) -> bool:
    return any(sign in text for sign in "*?[")


def _named(rules: Rules, _: list[Any], table: Name) -> bool:
    wanted = _full(table, rules)
    return any(_full(Name.read(text), rules) == wanted for text in rules.tables if not _is_pattern(text))


def _one_by_one(rules: Rules, declared: list[Any], table: Name) -> bool:
    return _among(rules, [models for models in declared if not _is_whole(models)], table)


def _with_its_base(rules: Rules, declared: list[Any], table: Name) -> bool:
    return _among(rules, [models for models in declared if _is_whole(models)], table)


def _among(rules: Rules, declared: list[Any], table: Name) -> bool:
    wanted = _full(table, rules)
    return any(_full(name, rules) == wanted for models in declared for name in _tables(models))


def _like(rules: Rules, _: list[Any], table: Name) -> bool:
    schema, name = _full(table, rules)
    for text in rules.tables:
        if _is_pattern(text):
            wanted = _full(Name.read(text), rules)
            if fnmatchcase(str(schema), str(wanted.schema)) and fnmatchcase(name, wanted.name):
                return True
    return False


def _in_schema(rules: Rules, _: list[Any], table: Name) -> bool:
    return _full(table, rules).schema in rules.schemas


def _rest(rules: Rules, _: list[Any], __: Name) -> bool:
    return rules.rest


_LEVELS = (_named, _one_by_one, _with_its_base, _like, _in_schema, _rest)


def _size(models: Any) -> int:
    if hasattr(models, "__table__") or hasattr(models, "fullname"):
        return 1
    return len((models if hasattr(models, "tables") else models.metadata).tables) + 1


def _is_whole(models: Any) -> bool:
    """Tell a ``MetaData``, or the base that brought it, from a part of it."""
    return hasattr(models, "tables") or "metadata" in vars(models)


def _tables(models: Any) -> Iterator[Name]:
    """List tables of SQLAlchemy's models; read anew each time, since models are declared as modules are imported."""
    if hasattr(models, "tables"):  # a MetaData
        yield from (Name(one.schema, one.name) for one in list(models.tables.values()))
    elif hasattr(models, "__table__"):
        yield from (Name(one.schema, one.name) for one in _mapped(models))
    elif hasattr(models, "fullname"):  # a Table
        yield Name(models.schema, models.name)
    elif "metadata" in vars(models):
        yield from _tables(models.metadata)
    else:  # an abstract base among others that share a MetaData
        mapped = [one for one in models.registry.mappers if issubclass(one.class_, models)]
        yield from (Name(table.schema, table.name) for one in mapped for table in one.tables)


def _mapped(model: Any) -> list[Any]:
    return [model.__table__] if hasattr(model.__table__, "fullname") else list(model.__mapper__.tables)
