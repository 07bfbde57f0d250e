"""How our schema gets from one version to the next: numbered files in ``migrations/``, applied by ``syncline install``.

``schema.sql`` (``cockroach.sql``) makes the newest schema on an empty database; the migrations bring an older
installation to the same. A file is ``NNNN_name.sql``, and ``NNNN_name_cockroach.sql`` for CockroachDB, where a number
without a file changes nothing. What the previous release still needs goes in ``NNNN_name_finish.sql``, which
``syncline install --finish`` runs. A file's ``-- name:`` blocks are steps, each a transaction of its own. One that
begins with ``EACH`` is a query whose rows are statements: each of them is run by itself, outside of a transaction.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from syncline.model.link import Link, current
from syncline.postgres.dialect import Dialect
from syncline.postgres.sql import ours

FIRST = 1
"""The schema version before there were migrations."""
EACH = "-- Each row is a statement of its own.\n"
"""How a step begins that ``CONCURRENTLY`` needs. It is never the last, and the next does not rely on it."""
_FILE = re.compile(r"^(?P<number>[0-9]{4})_(?P<name>[a-z0-9_]+?)(?P<finish>_finish)?(?P<cockroach>_cockroach)?\.sql$")
_STEP = re.compile(r"^-- name: \w+\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Migration:
    """One change of our schema. Every step may be run again: an unfinished migration starts over."""

    number: int
    name: str
    steps: tuple[str, ...]
    finish: bool = False
    """It takes away what the previous release needs."""

    @property
    def title(self) -> str:
        """Number and name, as the file has them."""
        return f"{self.number:04}_{self.name}{'_finish' if self.finish else ''}"


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """What a database says of our schema in it."""

    oldest: int
    """The oldest package's schema version that may work here: ``meta.schema_version``."""
    applied: frozenset[int]
    """Numbers of the migrations that it has had; empty before the first."""

    @property
    def newest(self) -> int:
        """The newest package's schema version that has been installed here."""
        return max((self.oldest, *self.applied))

    @property
    def missing(self) -> frozenset[int]:
        """Numbers that this package knows and the database lacks."""
        return numbers() - self.applied


def migrations(dialect: Dialect, *, finish: bool = False) -> tuple[Migration, ...]:
    """Read all migrations for a kind of source, in their order."""
    return _migrations(dialect, finish, current())


@cache
def _migrations(dialect: Dialect, finish: bool, link: Link) -> tuple[Migration, ...]:
    del link  # the texts are its
    return tuple(
        Migration(number, name, tuple(steps), finish)
        for (number, name), steps in sorted(_read(dialect, finish=finish).items())
    )


@cache
def numbers() -> frozenset[int]:
    """Give the numbers of all migrations."""
    return frozenset(migration.number for migration in migrations(Dialect.POSTGRESQL))


def pending(dialect: Dialect, missing: Collection[int]) -> tuple[Migration, ...]:
    """Give the migrations with these numbers, in their order; CockroachDB may have nothing to do for one."""
    return tuple(migration for migration in migrations(dialect) if migration.number in missing)


def _read(dialect: Dialect, *, finish: bool) -> dict[tuple[int, str], list[str]]:
    found: dict[tuple[int, str], list[str]] = {}
    for name, text in _files():
        parts = _FILE.match(name)
        if parts is None:
            raise ValueError(f"migrations/{name}: a file here is called NNNN_name.sql")
        if bool(parts["finish"]) != finish:
            continue
        steps = found.setdefault((int(parts["number"]), parts["name"]), [])
        if bool(parts["cockroach"]) == (dialect is Dialect.COCKROACHDB):
            steps += [step.strip() for step in _STEP.split(text) if _says_something(step)]
    return found


def _files() -> Iterator[tuple[str, str]]:
    for entry in files("syncline.journal").joinpath("migrations").iterdir():
        if entry.name.endswith(".sql"):
            yield entry.name, ours(entry.read_text("utf-8"))


def _says_something(step: str) -> bool:
    return any(line.strip() and not line.startswith("--") for line in step.splitlines())


SCHEMA_VERSION = max(numbers(), default=FIRST)
"""The version that ``schema.sql`` makes."""
