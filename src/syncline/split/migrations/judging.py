"""What migrations do beyond their own database, found by PostgreSQL's grammar in the SQL that they would send."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from alembic.script import Script

from syncline.config.named import SplitSettings
from syncline.errors import RoutingError, UnrenderedError
from syncline.split import grammar
from syncline.split.findings import Exemptions, Finding, Kind
from syncline.split.grammar import GrammarError
from syncline.split.migrations.rendering import rendered
from syncline.split.migrations.trees import Tree
from syncline.split.names import Name
from syncline.split.ownership import Ownership
from syncline.split.statements import Statement, parse, parse_function
from syncline.split.texts import shortened

_LEFT_BEHIND = {"DROP", "RENAME", "ALTER OBJECT SCHEMA"}
"""Statements after which a table is not there any more under its name."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found in revisions."""

    findings: tuple[Finding, ...]
    revisions: int
    """That were looked at."""

    @property
    def obstacles(self) -> tuple[Finding, ...]:
        """Those that are not exempt."""
        return tuple(one for one in self.findings if one.exempt is None)

    @property
    def crossings(self) -> tuple[Finding, ...]:
        """Those that are sure to touch another database's tables, and are not exempt."""
        return tuple(one for one in self.obstacles if one.kind is Kind.MIGRATION)

    def lets(self, tree: Tree, revision: str) -> bool:
        """Tell whether a revision may touch another database's tables: it does, and is exempt."""
        name = f"{tree.name}.{revision}"
        mine = [one for one in self.findings if one.kind is Kind.MIGRATION and one.name == name]
        return bool(mine) and all(one.exempt for one in mine)

    def as_dict(self) -> dict[str, object]:
        """Write it for JSON."""
        return {
            "obstacles": len(self.obstacles),
            "exempt": len(self.findings) - len(self.obstacles),
            "revisions": self.revisions,
            "findings": [one.as_dict() for one in self.findings],
        }


def judge(
    chosen: Iterable[tuple[Tree, Sequence[Script]]], ownership: Ownership, settings: SplitSettings, today: date
) -> Judged:
    """Look at revisions, as SQL."""
    exemptions = Exemptions(settings.exempt, today)
    found, count = [], 0
    for tree, revisions in chosen:
        made: dict[Name, str] = {}
        for revision in revisions:
            count += 1
            found += [exemptions.judge(one) for one in _of_revision(tree, revision, ownership, made)]
        found += [exemptions.judge(_unowned(tree, name, revision)) for name, revision in made.items()]
    return Judged(tuple(found), count)


def _of_revision(tree: Tree, revision: Script, ownership: Ownership, made: dict[Name, str]) -> Iterator[Finding]:
    name, place = f"{tree.name}.{revision.revision}", f"{tree.folder.name}/{_file(revision)}"
    try:
        texts = grammar.texts(rendered(tree, revision))
    except (UnrenderedError, GrammarError) as error:
        said = error.message if isinstance(error, UnrenderedError) else f"{tree.name}: {revision.revision}: {error}"
        yield Finding(Kind.UNSEEN, name, said, databases=(tree.name,), where=place)
        return
    unseen: dict[str, None] = {}
    for text in texts:
        for statement in _statements(text):
            unseen |= dict.fromkeys(statement.unseen)
            yield from _others(tree, name, place, text, statement, ownership)
            _note(made, statement, ownership, revision.revision)
    if unseen:
        yield Finding(Kind.UNSEEN, name, f"{place}: {'; '.join(unseen)}", databases=(tree.name,), where=place)


def _statements(text: str) -> Iterator[Statement]:
    script = parse(text)
    for one in script.statements:
        yield one
        if one.kind == "CREATE FUNCTION":
            body = parse_function(text)
            yield from body.statements
            if body.unseen:
                yield Statement("CREATE FUNCTION", unseen=body.unseen)
    if script.error:
        yield Statement("?", unseen=(f"{shortened(text)}: {script.error}",))


def _others(
    tree: Tree, name: str, place: str, text: str, statement: Statement, ownership: Ownership
) -> Iterator[Finding]:
    owners: dict[str, list[str]] = {}
    for table in sorted(statement.tables, key=str):
        if ownership.is_everywhere(table):
            continue
        try:
            owner = ownership.owner(table)
        except RoutingError as error:
            yield Finding(Kind.MIGRATION, name, f"{place}: {error.message}: {shortened(text)}", where=place)
            continue
        if owner not in (None, tree.name):
            owners.setdefault(str(owner), []).append(str(table))
    for owner, tables in owners.items():
        yield Finding(
            Kind.MIGRATION,
            name,
            f"{place}: a migration of {tree.name} touches {', '.join(tables)}, in {owner}: {shortened(text)}",
            tables=tuple(tables),
            databases=(tree.name, owner),
            where=place,
        )


def _note(made: dict[Name, str], statement: Statement, ownership: Ownership, revision: str) -> None:
    """Keep which tables the tree has made that no rule names, until they are gone again."""
    for table in statement.defined:
        if statement.kind.startswith("CREATE TABLE"):
            if not ownership.is_everywhere(table) and _owner(ownership, table) is None:
                made[table] = revision
        elif statement.kind in _LEFT_BEHIND:
            made.pop(table, None)


def _owner(ownership: Ownership, table: Name) -> str | None:
    try:
        return ownership.owner(table)
    except RoutingError:
        return "several"


def _unowned(tree: Tree, table: Name, revision: str) -> Finding:
    said = f"{table}: no rule says whose it is; revision {revision} of {tree.name} makes it"
    return Finding(Kind.UNOWNED, str(table), said, tables=(str(table),))


def _file(revision: Script) -> str:
    return "/".join(revision.path.replace("\\", "/").split("/")[-2:])
