"""Reading which collections are declared, and where both databases are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from syncline.config import environment, problems, urls
from syncline.config.collections import CollectionConfig
from syncline.config.load import COLLECTIONS, contents, of_two_kinds
from syncline.config.postgres_variables import postgres_url
from syncline.config.problems import Origin, Problem
from syncline.config.settings import LogSettings, Section, VerifySettings
from syncline.errors import ConfigError, DeclarationError
from syncline.model.defaults import CONFIG_FILE
from syncline.model.documents import Column, DocumentMapping
from syncline.model.documents.types import Type

VARIABLES = {"source": "MONGODB_URL", "target": "DATABASE_URL"}
"""Where documents are the source these are the other way round."""
_NAMED = {"source": "MONGODB_URL", "target": "DATABASE_URL (or POSTGRES_HOST, POSTGRES_NAME …)"}


@dataclass(frozen=True, slots=True)
class Documents:
    """The collections of a file, compiled."""

    mappings: tuple[DocumentMapping, ...]
    file: Path | None
    _urls: Mapping[str, str] = field(default_factory=dict, repr=False)
    log: LogSettings = field(default_factory=LogSettings)
    watch: bool = False
    """Also read change events, for writers that do not mark."""
    verify: VerifySettings = field(default_factory=VerifySettings)
    """How workers verify by themselves."""

    @property
    def urls(self) -> tuple[str, ...]:
        """Give the URLs that are there, unchecked: what they hold of secrets is kept out of messages."""
        return tuple(self._urls.values())

    def only(self, names: Sequence[str] | None) -> Documents:
        """Leave out all collections but these.

        Raises:
            ConfigError: one is not declared.

        """
        declared = [mapping.collection.name for mapping in self.mappings]
        if unknown := [name for name in names or () if name not in declared]:
            raise ConfigError(f"there is no collection {unknown[0]!r}", hint=f"declared: {', '.join(declared)}")
        wanted = set(names or declared)
        return replace(self, mappings=tuple(one for one in self.mappings if one.collection.name in wanted))

    def url(self, side: str) -> str:
        """Give the URL of the ``source`` or the ``target``.

        Raises:
            ConfigError: there is none, or it leads to another kind of database.

        """
        kind, check = ("a MongoDB", urls.target_url) if side == "source" else ("a PostgreSQL", urls.source_url)
        given = self._urls.get(side, "")
        if not given:
            raise ConfigError(f"no {side} database", hint=f"set {_NAMED[side]}, or `url` in [{side}] of {CONFIG_FILE}")
        if urls.is_postgresql(given) == (side == "source"):
            other = self._urls.get("target" if side == "source" else "source", "")
            swapped = bool(other) and urls.is_postgresql(other) == (side == "target")
            raise ConfigError(
                f"`url` in [{side}]: documents go from a MongoDB to a PostgreSQL",
                hint="the two URLs are swapped: exchange them" if swapped else f"name {kind} there",
            )
        try:
            checked = check(given)
        except ValueError as error:
            raise ConfigError(f"`url` in [{side}]: {error}") from None
        return checked if side == "source" else urls.of_primary(checked)


class DocumentSourceConfig(Section):
    """`[source]` of a file with collections: the MongoDB whose documents are the truth."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    watch: bool = False
    """Workers also read change events, and mark what is written past the wrapper; it needs a replica set."""


class _File(Section):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    collections: dict[str, CollectionConfig] = Field(default_factory=dict)
    log: LogSettings = LogSettings()
    source: DocumentSourceConfig = DocumentSourceConfig()
    verify: VerifySettings = VerifySettings()


def declares_collections(path: Path | None = None, env: Mapping[str, str] = os.environ) -> bool:
    """Tell whether a file declares collections: it is a link of documents then, and of nothing else.

    Raises:
        ConfigError: it cannot be read.

    """
    return bool(contents(path, env)[3].get(COLLECTIONS))


def load_documents(path: Path | None = None, env: Mapping[str, str] = os.environ) -> Documents:
    """Read the declared collections.

    Args:
        path: the file; by default ``SYNCLINE_CONFIG``, then ``syncline.toml`` here.
        env: the environment.

    Raises:
        ConfigError: every problem found, each with its place; or no collection is declared.

    """
    file, name, text, data = contents(path, env)
    origin = Origin(name, text)
    if found := list(of_two_kinds(data)):
        raise problems.error(found, origin)
    try:
        config = TypeAdapter(_File).validate_python(data, by_alias=True, by_name=False)
    except ValidationError as error:
        raise problems.error([problems.explain(detail, _File) for detail in error.errors()], origin) from None
    if not config.collections:
        raise ConfigError(
            f"{name} declares no collection", hint="`syncline init --from mongodb` writes them from your documents"
        )
    mappings, wrong = _compiled(config.collections)
    if found := [*wrong, *_shared(mappings)]:
        raise problems.error(found, origin)
    named = dict(_urls(data, env))
    return Documents(tuple(mappings), file, named, config.log, config.source.watch, config.verify)


def _compiled(declared: Mapping[str, CollectionConfig]) -> tuple[list[DocumentMapping], list[Problem]]:
    mappings, found = [], []
    for name, one in declared.items():
        try:
            mappings.append(DocumentMapping(one.to_collection(name)))
        except DeclarationError as error:
            found.append(Problem(("collections", name, *error.setting), error.message, error.hint))
    return mappings, found


def _shared(mappings: list[DocumentMapping]) -> Iterator[Problem]:
    ids = {mapping.collection.name: mapping.tables[0].columns[0].type for mapping in mappings}
    owners: dict[str, str] = {}
    enums: dict[tuple[str, str], tuple[str, ...]] = {}
    for mapping in mappings:
        path = ("collections", mapping.collection.name)
        for table in mapping.tables:
            owner = owners.setdefault(str(table.name), mapping.collection.name)
            if owner != mapping.collection.name:
                said = f"the table {table.name} is {owner}'s already"
                yield Problem((*path, "table"), said, "give one of them another `table`")
            for column in table.columns:
                yield from (Problem((*path, "columns", column.path), *said) for said in _reference(column, ids))
                one = column.field
                if one.enum and enums.setdefault((table.name.schema, one.enum), one.values) != one.values:
                    said = f"{column.path}: the type {one.enum} has other values already"
                    yield Problem(
                        (*path, "columns", column.path),
                        said,
                        "give one of them another `enum`, or both the same `values`",
                    )


def _reference(column: Column, ids: Mapping[str, Type]) -> Iterator[tuple[str, str | None]]:
    to = column.field.references
    if not to:
        return
    said = f"{column.path}: references = {to!r}"
    if to not in ids:
        yield f"{said} is no declared collection", problems.suggest(to, [*ids], "there are")
    elif column.type.name != ids[to].name and (column.type.name, ids[to].name) != ("objectid", "any"):
        yield f"{said}, whose `id` is {ids[to].name}, not {column.type.name}", f'type = "{ids[to].name}"'


def _urls(data: Mapping[str, Any], env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for side, variable in VARIABLES.items():
        table = data.get(side)
        written = table.get("url") if isinstance(table, Mapping) else None
        if isinstance(written, str) and "${" in written:
            expanded, missing = environment.expand(written, env)
            if missing:
                raise ConfigError(f"`url` in [{side}]: ${missing} is not set", hint=f"set {missing}")
            yield side, expanded
        elif env.get(variable) or isinstance(written, str):
            yield side, env.get(variable) or str(written)
        elif side == "target" and (url := postgres_url(env)):
            yield side, url
