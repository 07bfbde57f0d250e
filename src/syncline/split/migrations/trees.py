"""The trees of migrations: one folder, one table of versions, one database each."""

from __future__ import annotations

import sys
import warnings
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from syncline.errors import ConfigError, MigrationError
from syncline.split.database import Database
from syncline.split.databases import Databases

try:
    from alembic.config import Config
    from alembic.script import Script, ScriptDirectory
    from alembic.util import CommandError
except ImportError:  # pragma: no cover  named where it is needed
    raise ConfigError("Alembic is not installed", hint="pip install 'syncline[migrations]'") from None

ALL = "all"


@dataclass(slots=True)
class Tree:
    """One database's tree."""

    databases: Databases
    database: Database
    folder: Path
    version_table: str
    home: Path
    """Where the application's modules are imported from."""
    _scripts: ScriptDirectory | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The database's name."""
        return self.database.name

    @property
    def exists(self) -> bool:
        """Whether there is an environment of Alembic's."""
        return (self.folder / "env.py").is_file()

    def config(self, **attributes: Any) -> Config:
        """Make Alembic's configuration; ``attributes`` are found by ``env.py``."""
        made = Config(attributes=attributes, cmd_opts=Namespace(quiet=True))
        for option, value in (("script_location", self.folder.absolute()), ("prepend_sys_path", self.home.absolute())):
            made.set_main_option(option, str(value).replace("%", "%%"))
        made.set_main_option("path_separator", "os")
        return made

    @property
    def scripts(self) -> ScriptDirectory:
        """The revisions; their files are run on first use.

        Raises:
            MigrationError: there is no tree, or a file cannot be run.

        """
        if not self.exists:
            raise MigrationError(
                f"{self.name}: there is no tree of migrations in {self.folder}",
                hint=f"`syncline db new {self.name} -m …` makes it",
            )
        if self._scripts is None:
            with told(self), warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # of a revision that is not there
                found = ScriptDirectory.from_config(self.config())
                list(found.walk_revisions())
            self._scripts = found
        return self._scripts

    def forget(self) -> None:
        """Read the files anew."""
        self._scripts = None

    @property
    def heads(self) -> tuple[str, ...]:
        """The last revisions; more than one must be merged."""
        return tuple(sorted(self.scripts.get_heads()))

    def head(self) -> str | None:
        """Name the last revision, if there is one.

        Raises:
            MigrationError: there are several.

        """
        if len(self.heads) > 1:
            raise MigrationError(
                f"{self.name}: the tree has {len(self.heads)} heads: {', '.join(self.heads)}",
                hint=f"`syncline db new {self.name} --merge -m …` writes a revision that joins them",
            )
        return self.heads[0] if self.heads else None

    def revisions(self) -> list[Script]:
        """List the revisions, oldest first."""
        return list(self.scripts.walk_revisions())[::-1]

    def knows(self, revision: str) -> bool:
        """Tell whether a revision is in the tree."""
        return any(one.revision == revision for one in self.revisions())

    def pending(self, current: Sequence[str], to: str = "heads") -> list[Script]:
        """List what a database at ``current`` lacks, oldest first.

        Raises:
            MigrationError: the tree does not have a revision that the database is at, or that is asked for.

        """
        for one in current:
            if not self.knows(one):
                raise MigrationError(
                    f"{self.name}: the database is at revision {one}, which {self.folder} does not have",
                    hint="the database is ahead of this checkout, or another tree's: deploy the code that has it",
                )
        return [self.scripts.get_revision(step.revision.revision) for step in self.upgrades(current, to)]

    def upgrades(self, current: Sequence[str], to: str) -> list[Any]:
        """Give Alembic's steps from where a database is.

        Raises:
            MigrationError: there is no way.

        """
        with told(self):
            return list(self.scripts._upgrade_revs(to, tuple(current)))  # type: ignore[arg-type]  # noqa: SLF001  as Alembic's own commands do


def trees(databases: Databases, wanted: str = ALL) -> list[Tree]:
    """Give the trees of one or all databases, in the order of the configuration, with their models declared.

    Raises:
        ConfigError: there is no such database, or its models cannot be imported.

    """
    if wanted != ALL:
        databases[wanted]
    home = databases.configured.home
    for each in databases.configured.databases:
        for text in each.settings.models:
            models = _model(text, each.name, home)
            if not any(models is one for one in databases.routing.ownership.declared(each.name)):
                databases.declare(each.name, models)
    return [
        Tree(databases, databases[each.name], home / each.folder, each.version_table, home)
        for each in databases.configured.databases
        if wanted in (ALL, each.name)
    ]


@contextmanager
def told(tree: Tree) -> Iterator[None]:
    """Turn Alembic's errors, and those of the tree's files, into ours."""
    try:
        yield
    except (CommandError, UserWarning) as error:
        raise MigrationError(f"{tree.name}: {error}", hint=f"look at {tree.folder}") from error
    except SyntaxError as error:
        raise MigrationError(
            f"{tree.name}: {error.filename}:{error.lineno}: {error.msg}", hint="correct the file"
        ) from error
    except (ImportError, NameError, AttributeError, TypeError, ValueError, KeyError) as error:
        raise MigrationError(
            f"{tree.name}: a file of {tree.folder} cannot be run: {type(error).__name__}: {error}",
            hint=where(error, tree),
        ) from error


def where(error: BaseException, tree: Tree) -> str | None:
    """Name the line of the tree's files at which an error came up."""
    found, trace = None, error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if tree.folder.absolute() in file.parents:
            found = f"at {tree.folder / file.relative_to(tree.folder.absolute())}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def _model(text: str, database: str, home: Path) -> Any:
    called = f"models of [databases.{database}]: {text}"
    module, separator, attribute = text.partition(":")
    if not separator:
        raise ConfigError(f"{called}: `module:Base` is expected", hint='e.g. models = ["shop.models:Base"]')
    if str(home.absolute()) not in sys.path:
        sys.path.insert(0, str(home.absolute()))
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{called}: {error}", hint="it must be importable from the folder of the file") from error
    if not any(hasattr(found, name) for name in ("tables", "metadata", "__table__", "fullname")):
        raise ConfigError(f"{called} is no declarative base, MetaData, model or table")
    return found
