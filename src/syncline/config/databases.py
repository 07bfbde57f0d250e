"""Reading which named databases there are: ``syncline.toml``, ``.env``, the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from syncline.config import environment, problems
from syncline.config.backup import BackupSettings
from syncline.config.documents import load_documents
from syncline.config.load import COLLECTIONS, contents
from syncline.config.named import DatabaseSettings, SplitSettings
from syncline.config.problems import Origin, Problem
from syncline.config.settings import Section
from syncline.errors import ConfigError
from syncline.model.defaults import CONFIG_FILE

UNNAMED = ("primary", "data")
"""The databases of a configuration that names none."""
MODE = "SPLIT_DB_MODE"
SINGLE = "DATABASE_URL"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_YES, _NO = ("true", "1", "yes", "on"), ("false", "0", "no", "off", "")


@dataclass(frozen=True, slots=True)
class Place:
    """A URL, and what to call it in a message: the variable that sets it, or its place in the file."""

    called: str
    url: str

    def __repr__(self) -> str:
        """Leave the URL out: it has a password."""
        return f"Place({self.called!r})"


@dataclass(frozen=True, slots=True)
class NamedDatabase:
    """A database as it is configured."""

    name: str
    settings: DatabaseSettings
    place: Place
    direct: Place | None
    """Where the same database is reached past its pooler."""

    @property
    def folder(self) -> str:
        """Name the folder of its migrations."""
        return self.settings.migrations or f"migrations-{self.name}"

    @property
    def version_table(self) -> str:
        """Name the table in which its migrations note their revision."""
        return self.settings.version_table or f"alembic_version_{self.name}"


@dataclass(frozen=True, slots=True)
class NamedDatabases:
    """All of them; in single mode they share one place."""

    split: bool
    databases: tuple[NamedDatabase, ...]
    file: Path | None = None
    settings: SplitSettings = field(default_factory=SplitSettings)
    backup: BackupSettings = field(default_factory=BackupSettings)

    @property
    def home(self) -> Path:
        """The folder from which others are seen: the file's, or this one."""
        return self.file.parent if self.file else Path()


class _File(Section):
    """What of the file is read here; the rest belongs to others."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    split: SplitSettings = SplitSettings()
    backup: BackupSettings = BackupSettings()
    databases: dict[str, DatabaseSettings] = Field(default_factory=dict)


def load_databases(
    path: Path | None = None, env: Mapping[str, str] = os.environ, *, dotenv: Path | None = Path(".env")
) -> NamedDatabases:
    """Read which databases there are.

    Args:
        path: the file; by default ``SYNCLINE_CONFIG``, then ``syncline.toml`` here, which may be missing.
        env: the environment; it wins over ``.env``, and both win over the file.
        dotenv: the file of variables, if there is one; ``None`` reads none.

    Raises:
        ConfigError: every problem found, each with its place; never with a password.

    """
    env = {**_variables(dotenv), **env}
    file, name, text, data = contents(path, env)
    origin = Origin(name, text, environment.overlay(data, env))
    try:
        config = TypeAdapter(_File).validate_python(data, by_alias=True, by_name=False)
    except ValidationError as error:
        raise problems.error([problems.explain(detail, _File) for detail in error.errors()], origin) from None
    if found := list(_contradictions(config)):
        raise problems.error(found, origin)
    split = _mode(env, default=config.split.enabled)
    sections = config.databases or {each: DatabaseSettings() for each in UNNAMED}
    if split:
        places = _each(sections, env)
    else:
        places = _of_documents(sections, path, env) if data.get(COLLECTIONS) else _one(sections, data, env)
    databases = [NamedDatabase(each, sections[each], *places[each]) for each in sections]
    if found := list(_shared_trees(databases)):
        raise problems.error(found, origin)
    return NamedDatabases(split, tuple(databases), file, config.split, config.backup)


def split_place(
    database: NamedDatabase, env: Mapping[str, str] = os.environ, *, dotenv: Path | None = Path(".env")
) -> NamedDatabase:
    """Say where a database will be in split mode, whichever mode is on.

    Raises:
        ConfigError: its URL is not set.

    """
    found = _each({database.name: database.settings}, {**_variables(dotenv), **env})
    place, direct = found[database.name]
    return replace(database, place=place, direct=direct)


def variable(name: str) -> str:
    """Give the name of the variable that holds a database's URL in split mode."""
    return f"{name.upper()}_{SINGLE}"


def _variables(dotenv: Path | None) -> dict[str, str]:
    if dotenv is None or not dotenv.is_file():
        return {}
    try:
        from dotenv import dotenv_values
    except ImportError:
        raise ConfigError(
            f"{dotenv} cannot be read: python-dotenv is not installed", hint="pip install 'syncline[split]'"
        ) from None
    return {name: value for name, value in dotenv_values(dotenv).items() if value is not None}


def _mode(env: Mapping[str, str], *, default: bool) -> bool:
    value = env.get(MODE)
    if value is None:
        return default
    if value.strip().lower() not in _YES + _NO:
        raise ConfigError(f"{MODE}={value}: it must be true or false", hint=f"set {MODE}=true for split mode")
    return value.strip().lower() in _YES


def _contradictions(config: _File) -> Iterator[Problem]:
    owners: dict[tuple[str, str], str] = {}
    for name, section in config.databases.items():
        if not _NAME.fullmatch(name):
            yield Problem(
                ("databases", name), f"{name!r} cannot name a database", "use lower-case letters, digits and _"
            )
        for kind in ("tables", "schemas"):
            for one in getattr(section, kind):
                owner = owners.setdefault((kind, one), name)
                if owner != name:
                    yield Problem(
                        ("databases", name, kind), f"{one!r} belongs to {owner} already", "take it out of one"
                    )
    rest = [name for name, section in config.databases.items() if section.rest]
    if len(rest) > 1:
        yield Problem(("databases", rest[1], "rest"), f"{rest[0]} has `rest` already", "one database at most has it")


def _shared_trees(databases: list[NamedDatabase]) -> Iterator[Problem]:
    """Find trees that would write over each other, in single mode at the latest."""
    owners: dict[tuple[str, str], str] = {}
    for one in databases:
        for setting, value in (("version_table", one.version_table), ("migrations", str(Path(one.folder)))):
            owner = owners.setdefault((setting, value), one.name)
            if owner != one.name:
                yield Problem(
                    ("databases", one.name, setting), f"{value!r} is {owner}'s", "each tree has a folder and a table"
                )


def _one(
    sections: Mapping[str, DatabaseSettings], data: Mapping[str, Any], env: Mapping[str, str]
) -> dict[str, tuple[Place, Place | None]]:
    """Find the URL that all share in single mode."""
    source = (
        data["source"] if isinstance(data["source"], dict) else {}
    )  # where the variable stands by now, if it is set
    place = _place(SINGLE if env.get(SINGLE) == source.get("url") else "url of [source]", source.get("url"), env)
    if place is None:
        raise ConfigError(f"{SINGLE} is not set", hint=f"set it, or {MODE}=true and one URL for each database")
    named = next((each for each in ("DIRECT_URL", environment.DIRECT) if env.get(each)), None)
    direct = Place(named, env[named]) if named else _place("direct_url of [source]", source.get("direct_url"), env)
    return dict.fromkeys(sections, (place, direct))


def _of_documents(
    sections: Mapping[str, DatabaseSettings], path: Path | None, env: Mapping[str, str]
) -> dict[str, tuple[Place, Place | None]]:
    """Find the PostgreSQL of a file with collections: it is the target there."""
    place = Place(SINGLE if env.get(SINGLE) else "url of [target]", load_documents(path, env).url("target"))
    direct = next((Place(each, env[each]) for each in ("DIRECT_URL", environment.DIRECT) if env.get(each)), None)
    return dict.fromkeys(sections, (place, direct))


def _each(sections: Mapping[str, DatabaseSettings], env: Mapping[str, str]) -> dict[str, tuple[Place, Place | None]]:
    """Find the URL of each in split mode."""
    found, missing = {}, []
    for name, section in sections.items():
        place = _chosen(variable(name), f"url of [databases.{name}]", section.url, env)
        called = f"{name.upper()}_DIRECT_URL"
        if place is None:
            missing.append(variable(name))
        else:
            found[name] = (place, _chosen(called, f"direct_url of [databases.{name}]", section.direct_url, env))
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise ConfigError(
            f"split mode ({MODE}): {' and '.join(missing)} {verb} not set",
            hint=f"set it, or url in [databases.NAME] of {CONFIG_FILE}; {MODE}=false goes back to {SINGLE}",
        )
    return found


def _chosen(called: str, in_file: str, written: str, env: Mapping[str, str]) -> Place | None:
    """Prefer the environment, unless the file's URL names variables itself."""
    if env.get(called) and "${" not in written:
        return Place(called, env[called])
    return _place(in_file, written, env)


def _place(called: str, url: object, env: Mapping[str, str]) -> Place | None:
    if not url or not isinstance(url, str):
        return None
    expanded, missing = environment.expand(url, env)
    if missing:
        raise ConfigError(f"{called}: ${missing} is not set", hint=f"set {missing}")
    return Place(called, expanded)
