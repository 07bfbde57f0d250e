"""``syncline install`` of a document link: what it keeps in PostgreSQL, indexes of marks, a changed declaration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from psycopg import sql

from syncline.documents.opening import DocumentLink
from syncline.documents.standing import keeping
from syncline.engines.mongo.marked_database import MarkedDatabase
from syncline.engines.postgres.documents import inspection, schema
from syncline.engines.postgres.documents.keeping import Kept
from syncline.engines.postgres.target.session import Connection, translated
from syncline.errors import ForeignTargetError, UnsuitableTargetError
from syncline.insight.checks.finding import Finding, Level
from syncline.insight.document_schema import judge
from syncline.relay.documents.recovery import remapped


@dataclass(slots=True)
class Plan:
    """What is to be done, in this order."""

    scripts: Sequence[schema.Script] = ()
    first: bool = False
    """There is nothing of the schema yet."""
    source: bool = False
    """Which MongoDB is the source is to be noted."""
    indexes: list[str] = field(default_factory=list)
    """Collections that lack indexes of marks."""
    new: list[str] = field(default_factory=list)
    """Collections that are not installed yet."""
    changed: list[str] = field(default_factory=list)
    """Collections whose declaration has changed: every document is written anew."""
    grants: list[sql.Composed] = field(default_factory=list)
    role: str = ""
    warnings: list[str] = field(default_factory=list)

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.scripts or self.source or self.indexes or self.new or self.changed or self.grants)

    @property
    def summary(self) -> list[str]:
        """Say it, a line a step."""
        return list(self._said())

    def _said(self) -> Iterator[str]:
        if self.scripts:
            yield f"{'create' if self.first else 'bring up to date'} the schema {schema.NAME} in PostgreSQL"
        if self.source:
            yield "note in both databases that the rows are of this MongoDB's documents"
        for name in self.indexes:
            yield f"create the indexes of marks of the collection {name}"
        for name in self.new:
            yield f"carry the collection {name}: the worker writes what is there already"
        for name in self.changed:
            yield f"the declaration of {name} has changed: mark every document, for the worker to write it anew"
        if self.grants:
            yield f"grant the role {self.role} what a worker needs"


async def plan(link: DocumentLink, *, role: str | None = None) -> Plan:
    """Look at both sides.

    Raises:
        UnsuitableTargetError: the tables of a collection are not as declared; nothing can be written to them.
        ForeignTargetError: the rows are of another MongoDB's documents.
        SourceUnavailableError, TargetUnavailableError: a side does not answer.

    """
    kept, database = keeping(link), MarkedDatabase(link.database)
    try:
        connection = await kept.connection()
        found = Plan(warnings=await _require_tables(connection, link))
        there, found.scripts = await schema.missing(connection)
        found.first = not there
        standing = Kept(0, None, {}) if found.scripts else await kept.kept()
        identity = await database.identity()
        if standing.source is None:
            found.source = True
        elif standing.source != identity:
            if await kept.has_rows():
                raise _foreign()
            found.source = True
    finally:
        await kept.close()
    for mapping in link.mappings:
        name = mapping.collection.name
        fingerprint = standing.declared.get(name)
        if fingerprint != mapping.fingerprint or name in standing.unmarked:
            (found.new if fingerprint is None else found.changed).append(name)
        if await database.lacking(name):
            found.indexes.append(name)
        remarks = [one for one in await database.examine(name) if "prepare_marks" not in one]
        found.warnings += [f"{name}: {one}" for one in remarks]
    if role:
        found.role, found.grants = role, list(schema.grants(role, link.mappings))
    return found


async def install(link: DocumentLink, wanted: Plan) -> None:
    """Do it; stopped anywhere, the next call goes on from there."""
    database = MarkedDatabase(link.database)
    kept = keeping(link)
    try:
        connection = await kept.connection()
        with translated():
            async with connection.transaction():
                for script in wanted.scripts:
                    for statement in script.statements():
                        await connection.execute(statement)
        for name in wanted.indexes:
            await database.make_indexes(name)
        if wanted.source:
            await kept.set_source(await database.identify())
        await link.rows.prepare()
        await remapped(link.source, link.rows, wanted.changed)
        with translated():
            for grant in wanted.grants:
                await connection.execute(grant)
    finally:
        await kept.close()


def statements(link: DocumentLink, *, role: str | None = None) -> Iterator[str]:
    """Give the SQL of an installation: of PostgreSQL's side, the schema of the tables left out."""
    for script in schema.SCRIPTS:
        yield from script.statements()
    for grant in schema.grants(role, link.mappings) if role else ():
        yield grant.as_string(None)


async def _require_tables(connection: Connection, link: DocumentLink) -> list[str]:
    findings = judge(link.mappings, await inspection.look(connection, link.mappings, rows=0))
    if wrong := [one for one in findings if one.level is Level.CRITICAL]:
        raise UnsuitableTargetError(
            "the tables are not as declared:\n  " + "\n  ".join(one.message for one in wrong), hint=_cure(wrong)
        )
    return [one.message for one in findings if one.level is Level.WARNING and one.check != "filled"]


def _cure(wrong: Sequence[Finding]) -> str:
    if all(one.message.startswith("there is no table") for one in wrong):
        return "`syncline schema sql | psql` makes them, or put what it prints into your own migrations"
    return "`syncline schema sql --changes | psql` makes them so; `syncline schema check` says more"


def _foreign() -> ForeignTargetError:
    return ForeignTargetError(
        "the rows there are of another MongoDB's documents",
        hint="look at `url` in [source] and [target]; if MongoDB was restored from before the installation, or this"
        " one takes the other's place, `syncline adopt` writes everything anew",
    )
