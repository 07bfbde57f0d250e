"""Reading the configuration: file, then environment, then every check; each complaint names its line."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field, TypeAdapter, ValidationError

from syncline.config import environment, links, patterns, problems, rows, urls
from syncline.config.backup import BackupSettings
from syncline.config.collections import CollectionConfig
from syncline.config.entities import EntityConfig, possible_name
from syncline.config.named import DatabaseSettings, SplitSettings
from syncline.config.problems import Origin, Problem
from syncline.config.rings import rings
from syncline.config.secrets import redact
from syncline.config.settings import (
    HistorySettings,
    LogSettings,
    MappingSettings,
    Section,
    Settings,
    SourceSettings,
    TargetSettings,
    VerifySettings,
    WorkerSettings,
)
from syncline.errors import ConfigError
from syncline.model.defaults import CONFIG_FILE
from syncline.model.entity import DOCUMENTS, ROWS, TableName
from syncline.model.link import Link
from syncline.model.types import Kind

_TABLE = """write `table` or `schema.table`; a name with a dot in it as 'public."my.table"'"""


COLLECTIONS = "collections"
"""The section that makes a file a link of documents (``syncline.config.documents``)."""


class File(Section):
    """The whole file."""

    source: SourceSettings
    target: TargetSettings
    worker: WorkerSettings = WorkerSettings()
    history: HistorySettings = HistorySettings()
    mapping: MappingSettings = MappingSettings()
    log: LogSettings = LogSettings()
    verify: VerifySettings = VerifySettings()
    split: SplitSettings = SplitSettings()
    backup: BackupSettings = BackupSettings()
    databases: dict[str, DatabaseSettings] = Field(default_factory=dict)
    entities: dict[str, EntityConfig] = Field(default_factory=dict)
    collections: dict[str, CollectionConfig] = Field(default_factory=dict)


def load(path: Path | None = None, env: Mapping[str, str] = os.environ, *, link: str | None = None) -> Settings:
    """Read and check the configuration.

    Args:
        path: the file; by default ``SYNCLINE_CONFIG``, then ``syncline.toml`` here, which may be missing.
        env: the environment; it wins over the file.
        link: which of the file's links; by default the only one.

    Raises:
        ConfigError: every problem found, each with its place; or there are several links and none was named.

    """
    found = load_links(path, env)
    if link is None and len(found) == 1:
        return found[0]
    names = ", ".join(one.link.name or "the one without a name" for one in found)
    where = found[0].file or "the configuration"
    if link is None:
        raise ConfigError(f"{where} has {len(found)} links: {names}", hint="say which: --link NAME")
    for one in found:
        if one.link.name == link:
            return one
    raise ConfigError(f"{where} has no link {link!r}", hint=f"there is: {names}")


def load_links(path: Path | None = None, env: Mapping[str, str] = os.environ) -> tuple[Settings, ...]:
    """Read and check every link of the configuration; at least one.

    Raises:
        ConfigError: every problem found, each with its place.

    """
    file, name, text, data = contents(path, env)
    origin = Origin(name, text, environment.overlay(data, env))
    if of_another_kind := [*of_two_kinds(data), *_target_of_the_environment(data, env, origin)]:
        raise problems.error(of_another_kind, origin)
    if data.get(COLLECTIONS):
        raise ConfigError(
            f"{name} declares collections: documents go to PostgreSQL there, and this is about rows that go to MongoDB",
            hint="name a file with [entities.NAME] by --config",
        )
    there = patterns.expanded(data, file.parent if file else Path())
    if there.problems:
        raise problems.error(there.problems, origin)
    parts, found = links.parts(there.data)
    settings = []
    for part in parts:
        try:
            one = _settings(_checked(part.data, env, file), file, part.link)
            settings.append(replace(one, pattern=there.written.get(part.link.name)))
        except _WrongError as wrong:
            found += [problem for problem in map(part.placed, wrong.problems) if problem not in found]
    if found := found or [*links.conflicts(settings), *rings(settings)]:
        raise problems.error(there.placed(found), origin)
    return tuple(settings)


def of_two_kinds(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Refuse a file that is a link of rows and one of documents: whichever a command takes, the other is left out."""
    rows_too = [name for name in ("entities", patterns.LINKS) if data.get(name)]
    if data.get(COLLECTIONS) and rows_too:
        what = f"a file has [{COLLECTIONS}] or [{rows_too[0]}], not both: their sides are the other way round"
        yield Problem((COLLECTIONS,), what, "put the collections into a file of their own, named by --config")


def _target_of_the_environment(data: Mapping[str, Any], env: Mapping[str, str], origin: Origin) -> Iterator[Problem]:
    """Refuse a PostgreSQL in ``MONGODB_URL``: all that a file says for documents would be wrong."""
    path, variable = ("target", "url"), environment.URLS["target"]
    table = data.get("target")
    written = str(table.get("url", "")) if isinstance(table, Mapping) else ""
    taken = origin.variables.get(path) == variable or f"${{{variable}}}" in written
    if taken and urls.is_postgresql(env.get(variable, "")):
        todo = 'a PostgreSQL target\'s URL stands in [target], with a variable of another name: url = "${COPY_URL}"'
        yield Problem(path, f"a PostgreSQL's URL in {variable}, where a MongoDB's belongs", todo)


class _WrongError(Exception):
    def __init__(self, problems: list[Problem]) -> None:
        super().__init__()
        self.problems = problems


def _checked(data: dict[str, Any], env: Mapping[str, str], file: Path | None) -> File:
    """Check what is said of one link."""
    if found := list(_urls(data, env, file)):
        raise _WrongError(found)
    try:
        config = TypeAdapter(File).validate_python(data, by_alias=True, by_name=False)
    except ValidationError as error:
        raise _WrongError([problems.explain(detail, File) for detail in error.errors()]) from None
    if found := [*_consistency(config), *_entities(config)]:
        raise _WrongError(found)
    return config


def contents(path: Path | None, env: Mapping[str, str]) -> tuple[Path | None, str, str, dict[str, Any]]:
    """Find the file and read it: its path, what to call it, its text, what is in it.

    Raises:
        ConfigError: it is not there, or cannot be read.

    """
    try:
        file = _file(path, env)
    except OSError as error:
        what = f"{error.filename or 'the configuration'}: {error.strerror}"
        raise ConfigError(what, hint="check the permissions of its folders") from None
    text = _read(file) if file else ""
    name = str(file) if file else "configuration"
    return file, name, text, _parse(text, name)


def _file(path: Path | None, env: Mapping[str, str]) -> Path | None:
    chosen = path or (Path(env["SYNCLINE_CONFIG"]) if env.get("SYNCLINE_CONFIG") else None)
    if chosen is None:
        if not Path(CONFIG_FILE).exists():
            return None
        chosen = Path(CONFIG_FILE)
    if chosen.exists() and not chosen.is_file():
        raise ConfigError(f"{chosen}: this is no file", hint="name the configuration by --config or SYNCLINE_CONFIG")
    if not chosen.is_file():
        raise ConfigError(f"{chosen}: there is no such file", hint="`syncline init` writes one from your database")
    return chosen


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")  # editors on Windows put a mark before the first line
    except UnicodeDecodeError as error:
        line = file.read_bytes()[: error.start].count(b"\n") + 1
        raise ConfigError(f"{file}:{line}: not UTF-8", hint="save the file as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}", hint="check the file's permissions") from None


def _parse(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        match = re.search(r"at line (\d+)", message)
        line = int(match[1]) if match else max(1, len(text.splitlines()))
        what = message.partition(" (at")[0]
        offending = text.splitlines()[line - 1].strip() if text.splitlines()[line - 1 : line] else ""
        raise ConfigError(
            f"{name}:{line}: not valid TOML: {what}", hint=f"the line reads: {redact(offending)}" if offending else None
        ) from None


def _urls(data: dict[str, Any], env: Mapping[str, str], file: Path | None) -> Iterator[Problem]:
    for side, setting, check in (
        ("source", "direct_url", urls.source_url),
        ("source", "replica_url", urls.source_url),
        ("source", "url", urls.source_url),
        ("target", "url", urls.target_url),
    ):
        table = data.get(side)
        if not isinstance(table, dict):
            continue  # pydantic says so
        if setting == "url" and (direct := table.get("direct_url")):
            table["url"] = direct  # whatever the other one says: it is the application's
            continue
        url = table.get(setting)
        variable = environment.URLS[side]
        if not url and setting == "url":
            where = f"`url` in [{side}]" if file else f"{variable}, or `url` in [{side}] of {CONFIG_FILE}"
            yield Problem((side,), f"no {side} database", f"set {variable}" if file else f"set {where}")
        elif url and isinstance(url, str):
            expanded, missing = environment.expand(url, env)
            if missing:
                yield Problem((side, setting), f"{setting} = {url!r}: ${missing} is not set", f"set {missing}")
                continue
            try:
                table[setting] = check(expanded)
            except ValueError as error:
                yield Problem((side, setting), f"{setting} of the {side}: {error}")


def _consistency(config: File) -> Iterator[Problem]:
    worker, target = config.worker, config.target
    if not target.in_postgresql and worker.grace <= worker.max_batch_age + target.timeout:  # there one delete is enough
        yield Problem(
            ("worker", "grace_seconds"),
            f"grace_seconds ({worker.grace.total_seconds():g}) must exceed max_batch_age_seconds plus timeout_seconds "
            f"of [target] ({(worker.max_batch_age + target.timeout).total_seconds():g}), or a late write outlives it",
        )
    yield from rows.of_target(config.source, target)
    if not (target.database or urls.database_of(target.url)):
        yield Problem(
            ("target", "url"), "no target database named", "set `database` in [target], or end the URL in /NAME"
        )


def _entities(config: File) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for name, entity in config.entities.items():
        path = ("entities", name)
        if not possible_name(name):
            yield Problem(path, f"{name!r} cannot name an entity", "use letters, digits and _, at most 40")
        tables: list[tuple[tuple[str, ...], str]] = [((*path, "table"), entity.table)] if entity.table else []
        tables += [((*path, "embed", field, "table"), embed.table) for field, embed in entity.embed.items()]
        for place, table in tables:
            if not TableName.possible(table):
                yield Problem(place, f"table = {table!r}: not a table", _TABLE)
        yield from rows.of_entity(path, name, entity, source=config.source, target=config.target)
        yield from _owned(path, name, entity, config.target, owners)
        yield from _contradictions(path, entity)


def _owned(
    path: tuple[str, ...], name: str, entity: EntityConfig, target: TargetSettings, owners: dict[str, str]
) -> Iterator[Problem]:
    """See that the place of an entity's records is its own."""
    form = ROWS if target.in_postgresql else DOCUMENTS
    place = entity.place(name, form)
    setting, what, records = ("collection", "collection", "documents")
    if form == ROWS:
        setting, what, records = ("target_table", "table", "rows")
    elif place == target.control_collection:
        yield Problem((*path, "collection"), f"{place!r} is our control collection", "choose another name")
    if place in owners:
        yield Problem(
            (*path, setting),
            f"the {what} {place!r} belongs to the entity {owners[place]!r} already",
            f"one entity owns the {records} of a {what}; give this one another {what}",
        )
    owners.setdefault(place, name)


def _contradictions(path: tuple[str, ...], entity: EntityConfig) -> Iterator[Problem]:
    places: list[tuple[tuple[str, ...], Any]] = [(path, entity)]
    places += [((*path, "embed", field), embed) for field, embed in entity.embed.items()]
    for place, fields in places:
        for column in sorted(set(fields.include or ()) & set(fields.exclude)):
            yield Problem(
                (*place, "exclude"), f"{column!r} is both included and excluded", "take it out of one of them"
            )
        taken: dict[str, str] = {}
        for column, field in fields.rename.items():
            if field in taken:
                yield Problem((*place, "rename", column), f"{taken[field]!r} and {column!r} both become {field!r}")
            taken[field] = column
        kinds: list[tuple[tuple[str, ...], str]] = [(("types", column), kind) for column, kind in fields.types.items()]
        kinds += [(("computed", field, "type"), c.type) for field, c in fields.computed.items() if c.type]
        for inner, kind in kinds:
            if kind not in set(Kind):
                known = [k.value for k in Kind]
                yield Problem(
                    (*place, *inner), f"there is no kind {kind!r}", problems.suggest(kind, known, "there are")
                )
        for column in sorted(set(entity.key) & set(fields.exclude) if fields is entity else ()):
            yield Problem((*place, "exclude"), f"{column!r} is part of the key", "the key cannot be left out")
    names = [index.name for index in entity.indexes if index.name]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Problem((*path, "indexes"), f"two indexes are called {name!r}", "rename one")


def _settings(config: File, file: Path | None, link: Link) -> Settings:
    target = config.target
    if not target.database:
        target = target.model_copy(update={"database": urls.database_of(target.url)})
    return Settings(
        source=config.source.of_link(link),
        target=target,
        worker=config.worker,
        history=config.history,
        mapping=config.mapping,
        log=config.log,
        verify=config.verify,
        entities=tuple(
            entity.to_entity(name, config.mapping, form=ROWS if target.in_postgresql else DOCUMENTS)
            for name, entity in config.entities.items()
        ),
        file=file,
    )
