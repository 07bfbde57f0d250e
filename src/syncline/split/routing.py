"""To which database a statement belongs, and what is refused. Pure: SQLAlchemy, Django and psycopg have adapters.

Every statement that these are about to send goes through ``Routing.look``. In single mode the same is refused, so that
what would not work after a split fails before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache

from syncline.errors import (
    AcrossDatabasesError,
    RoutingError,
    SecondDatabaseError,
    UnknownTableError,
    WrongDatabaseError,
)
from syncline.split.ownership import Ownership
from syncline.split.statements import KEPT, LONG, Name, Placeholders, Script, parse

Allow = Callable[[RoutingError, str], bool]
"""Asked before a crossing is refused in single mode: the error, the SQL. True lets it through, as one database can."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a text."""

    script: Script
    owners: frozenset[str]
    """The databases whose tables it touches."""
    changed: frozenset[str]
    """Those whose tables it writes or locks."""
    owned: frozenset[Name]
    """Tables of which a rule says whose they are."""
    unknown: frozenset[Name]
    """Tables of which none does."""


@dataclass(slots=True)
class Ledger:
    """What one transaction has written so far."""

    changed: set[str] = field(default_factory=set)
    """Databases in which it has written or locked."""

    def clear(self) -> None:
        """Begin another transaction."""
        self.changed.clear()


class Routing:
    """Decides; one for all databases."""

    def __init__(self, ownership: Ownership, *, split: bool) -> None:
        self.ownership = ownership
        self.split = split
        self.allow: Allow | None = None
        """Set by who reports crossings instead of refusing them; asked in single mode only."""
        self.unclear: Callable[[str, Script], None] | None = None
        """Told of each statement that cannot be parsed, or not wholly be seen into."""
        self.refused: Callable[[RoutingError, str], None] | None = None
        """Told of each crossing in split mode, where it is always refused."""
        self.looked = 0
        """So many statements were looked at; what threads count at the same instant may be missing."""
        self._remembered = lru_cache(KEPT)(self._settled)
        self._judged_at = 0

    def declare(self, database: str, models: object) -> None:
        """Say that models live in a database: a declarative base, a model, a ``MetaData`` or a ``Table``."""
        self.ownership.declare(database, models)

    def verdict(self, sql: str, placeholders: Placeholders) -> Verdict:
        """Judge a text; one whose tables are all known is judged once.

        Raises:
            RoutingError: two databases claim a table.

        """
        if (size := self.ownership.size()) != self._judged_at:
            self._remembered.cache_clear()
            self._judged_at = size
        try:
            settled = self._settled if len(sql) > LONG else self._remembered
            return settled(sql, placeholders)
        except _UnsettledError as unsettled:
            return unsettled.verdict

    def look(
        self, sql: str, placeholders: Placeholders, *, database: str | None = None, ledger: Ledger | None = None
    ) -> Verdict:
        """Look at a statement that is about to be sent, and note what it changes.

        Args:
            sql: the text.
            placeholders: how it marks its parameters.
            database: where it is about to go; ``None``: to the one database of single mode, whoever's it is.
            ledger: the transaction's.

        Raises:
            WrongDatabaseError: it belongs to another database; the error says to which.
            AcrossDatabasesError: it touches tables of several.
            SecondDatabaseError: the transaction has written to another one.

        """
        self.looked += 1
        verdict = self.verdict(sql, placeholders)
        if self.unclear is not None and (verdict.script.error or verdict.script.unseen):
            self.unclear(sql, verdict.script)
        if len(verdict.owners) > 1:
            self.refuse(_across(self.ownership, verdict.owned), sql)
        elif database is not None and verdict.owners and database not in verdict.owners:
            raise _wrong(verdict.owned, verdict.owners, database)
        if ledger is not None and verdict.changed:
            self._note(ledger, verdict, sql)
        return verdict

    def expect(self, tables: Iterable[Name], database: str) -> None:
        """See that tables may be looked for where somebody says that they are.

        Raises:
            ConfigError: there is no such database.
            WrongDatabaseError: they are in another one.

        """
        self.ownership.see(database)
        owners = {table: owner for table, owner in self._owners(tables).items() if owner is not None}
        if owners and database not in owners.values():
            raise _wrong(owners, frozenset(owners.values()), database)

    def destination(self, sql: str, placeholders: Placeholders, *, current: str | None = None) -> str:
        """Say where a text belongs.

        Args:
            sql: the text.
            placeholders: how it marks its parameters.
            current: where a statement without a table goes; by default to the database of the rest, or the first.

        Raises:
            RoutingError: it cannot be parsed, no rule names its tables, or it belongs to several databases.

        """
        verdict = self.verdict(sql, placeholders)
        if verdict.script.error:
            raise RoutingError(f"the statement cannot be parsed: {verdict.script.error}", hint=_SAY_WHERE)
        return self.destination_of(verdict.script.tables, current=current)

    def destination_of(self, tables: Iterable[Name], *, current: str | None = None) -> str:
        """Say where a statement on these tables belongs.

        Raises:
            RoutingError: no rule names a table, or they belong to several databases.

        """
        owners = self._owners(tables)
        found = {owner for owner in owners.values() if owner is not None}
        if len(found) > 1 and (self.split or self.allow is None):  # in single mode `look` judges, which knows the text
            raise _across(self.ownership, owners)
        if owners and not found:
            raise unknown(min(owners, key=str), self.ownership.names)
        return min(found, key=self.ownership.names.index) if found else current or self.ownership.default

    def _note(self, ledger: Ledger, verdict: Verdict, sql: str) -> None:
        before = ledger.changed - verdict.changed
        if before and not verdict.changed <= ledger.changed:
            self.refuse(_second(before, verdict.changed), sql)
        ledger.changed |= verdict.changed

    def refuse(self, error: RoutingError, sql: str) -> None:
        """Raise an error of what crosses the boundary, unless in single mode ``allow`` lets it through."""
        if self.split and self.refused is not None:
            self.refused(error, sql)
        if self.split or self.allow is None or not self.allow(error, sql):
            raise error

    def _owners(self, tables: Iterable[Name]) -> dict[Name, str | None]:
        return {table: self.ownership.owner(table) for table in tables if not self.ownership.is_everywhere(table)}

    def _settled(self, sql: str, placeholders: Placeholders) -> Verdict:
        script = parse(sql, placeholders)
        if self.ownership.elsewhere(script.paths):
            script = replace(script, unseen=(*script.unseen, _ELSEWHERE))
        owners = self._owners(script.tables)
        changed = {owners.get(table) for table in script.written | script.locked}
        verdict = Verdict(
            script,
            owners=frozenset(owner for owner in owners.values() if owner is not None),
            changed=frozenset(owner for owner in changed if owner is not None),
            owned=frozenset(table for table, owner in owners.items() if owner is not None),
            unknown=frozenset(table for table, owner in owners.items() if owner is None),
        )
        if verdict.unknown:
            raise _UnsettledError(verdict)  # and so it is not remembered: a model may be declared later
        return verdict


class _UnsettledError(Exception):
    def __init__(self, verdict: Verdict) -> None:
        super().__init__()
        self.verdict = verdict


_ELSEWHERE = "search_path: names without a schema are looked for elsewhere than the rules say"
_SAY_WHERE = "say where it goes, e.g. session.execute(…, bind_arguments={'database': NAME})"


def unknown(table: Name, names: Iterable[str]) -> UnknownTableError:
    """Make the error of a table that nobody owns."""
    return UnknownTableError(
        f"no rule says in which database {table} is",
        hint=f"name it in `tables` of [databases.NAME], or declare its models; there are: {', '.join(names)}",
    )


def _wrong(tables: Iterable[Name], owners: frozenset[str], database: str) -> WrongDatabaseError:
    right = " and ".join(sorted(owners))
    named = ", ".join(sorted(map(str, tables)))
    return WrongDatabaseError(f"{named}: in {right}, not in {database}", hint=f"use {right}", right=right)


def _across(ownership: Ownership, tables: Iterable[Name]) -> AcrossDatabasesError:
    sides: dict[str, list[str]] = {}
    for table in sorted(tables, key=str):
        if (owner := ownership.owner(table)) is not None:
            sides.setdefault(owner, []).append(str(table))
    told = "; ".join(f"{', '.join(sides[name])} in {name}" for name in ownership.names if name in sides)
    return AcrossDatabasesError(
        f"one statement over several databases: {told}",
        hint="make it one statement for each, and join in the application",
    )


def _second(before: Iterable[str], now: Iterable[str]) -> SecondDatabaseError:
    first, then = (" and ".join(sorted(names)) for names in (before, now))
    return SecondDatabaseError(
        f"the transaction has changed {first} and would now change {then}: the two cannot be committed as one",
        hint="commit first, in an order that can be resumed, or write to one database only",
    )
