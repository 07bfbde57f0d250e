"""``syncline install`` of a document link: what it keeps in PostgreSQL, indexes of marks, a changed declaration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from psycopg import sql

from syncline.config.documents import Documents
from syncline.documents.claiming import Claiming
from syncline.documents.opening import DocumentLink
from syncline.documents.restores import settle
from syncline.documents.standing import copied, foreign_documents, foreign_rows, keeping
from syncline.engines.mongo import gates
from syncline.engines.mongo.marked import translated as read
from syncline.engines.mongo.marked_database import MarkedDatabase, Named
from syncline.engines.postgres.documents import inspection, schema
from syncline.engines.postgres.documents.keeping import Keeping, Owner
from syncline.engines.postgres.target.session import Connection, translated
from syncline.errors import ForeignTargetError, PhaseError, UnsuitableTargetError
from syncline.insight.checks.finding import Finding, Level
from syncline.insight.document_schema import judge
from syncline.model.documents import DocumentMapping
from syncline.relay.documents.recovery import begun, remapped


@dataclass(slots=True)
class Plan:
    """What is to be done, in this order."""

    scripts: Sequence[schema.Script] = ()
    first: bool = False
    """There is nothing of the schema yet."""
    source: bool = False
    """Which MongoDB is the source is to be noted."""
    claims: bool = False
    """Which tables and collections are the link's is to be noted."""
    indexes: list[str] = field(default_factory=list)
    """Collections that lack indexes of marks."""
    new: list[str] = field(default_factory=list)
    """Collections that are not installed yet."""
    changed: list[str] = field(default_factory=list)
    """Collections whose declaration has changed: every document is written anew."""
    anew: dict[str, DocumentMapping] = field(default_factory=dict)
    """Collections that PostgreSQL serves, whose declaration has changed: what it was. See ``phases.redeclaring``."""
    grants: list[sql.Composed] = field(default_factory=list)
    role: str = ""
    warnings: list[str] = field(default_factory=list)

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return bool(
            self.scripts
            or self.source
            or self.claims
            or self.indexes
            or self.new
            or self.changed
            or self.anew
            or self.grants
        )

    @property
    def summary(self) -> list[str]:
        """Say it, a line a step."""
        return list(self._said())

    def _said(self) -> Iterator[str]:
        if self.scripts:
            yield f"{'create' if self.first else 'bring up to date'} the schema {schema.NAME} in PostgreSQL"
        if self.source:
            yield "note in both databases that the rows are of this MongoDB's documents"
        elif self.claims:
            yield "note in both databases which tables and collections this link writes"
        for name in self.indexes:
            yield f"create the indexes of marks of the collection {name}"
        for name in self.new:
            yield f"carry the collection {name}: the worker writes what is there already"
        for name in self.changed:
            yield f"the declaration of {name} has changed: mark every document, for the worker to write it anew"
        for name in self.anew:
            yield (
                f"the declaration of {name} has changed: write its rows anew, from what they are under the one before;"
                " writers of its tables wait as long as that takes"
            )
        if self.grants:
            yield f"grant the role {self.role} what a worker needs"


async def plan(
    link: DocumentLink, *, role: str | None = None, adopting: bool = False, was: Documents | None = None
) -> Plan:
    """Look at both sides.

    Args:
        link: both sides.
        role: what a worker needs is to be granted to it.
        adopting: whose documents the rows are, and where they go, is seen to afterwards.
        was: the declaration before, for collections that PostgreSQL serves.

    Raises:
        UnsuitableTargetError: the tables of a collection are not as declared; nothing can be written to them. Or
            another link writes them, or the collection.
        PhaseError: a declaration has changed whose collection MongoDB does not serve, and it is not said what it was.
        ForeignTargetError: the rows are of another MongoDB's documents, or the documents go to another PostgreSQL.
        SourceUnavailableError, TargetUnavailableError: a side does not answer.

    """
    kept, database = keeping(link), MarkedDatabase(link.database)
    try:
        connection = await kept.session()
        found = Plan(warnings=await _require_tables(connection, link))
        there, found.scripts = await schema.missing(connection)
        found.first = not there
        standing = await kept.owner()  # whatever the scripts say: rows are there before an upgrade, too
        named = await database.identity()
        found.claims = not await Claiming(link, connection, named.id, standing.id).is_noted()
        if not adopting:
            found.source = _to_note(standing, named)
    finally:
        await kept.close()
    for mapping in link.mappings:
        name = mapping.collection.name
        fingerprint = standing.declared.get(name)
        if fingerprint != mapping.fingerprint or name in standing.unmarked:
            (found.new if fingerprint is None else found.changed).append(name)
        if await database.lacking(name):
            found.indexes.append(name)
        found.warnings += [f"{name}: {one}" for one in await database.examine(name)]
    away = await _served_elsewhere(link, found.changed)
    found.changed = [name for name in found.changed if name not in away]
    found.anew = {name: _what_was(link.mapping(name), standing.declared[name], was) for name in away}
    if role:
        found.role, found.grants = role, list(schema.grants(role, link.mappings))
    return found


async def install(link: DocumentLink, wanted: Plan) -> None:
    """Do it; stopped anywhere, the next call goes on from there."""
    database = MarkedDatabase(link.database)
    kept = keeping(link)
    try:
        connection = await kept.session()
        with translated():
            async with connection.transaction():
                for script in wanted.scripts:
                    for statement in script.statements():
                        await connection.execute(statement)
        for name in wanted.indexes:
            await database.make_indexes(name)
        if wanted.source:
            await _note(link, kept, database)
        if wanted.claims:
            named = await database.identity()
            await Claiming(link, connection, named.id, (await kept.kept()).id).note()
        new = [mapping for mapping in link.mappings if mapping.collection.name in wanted.new]
        for mapping in new:
            await kept.declare(mapping.collection.name, mapping.fingerprint)
        await link.rows.prepare()
        if away := await _served_elsewhere(link, wanted.changed):
            raise _without_what_was(away[0])
        await remapped(link.source, link.rows, wanted.changed)
        await begun(link.source, link.rows, wanted.new)
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


async def _served_elsewhere(link: DocumentLink, changed: Sequence[str]) -> list[str]:
    """Name those whose truth is not in MongoDB: their rows cannot be written anew from documents."""
    with read():
        there = await gates.read(link.database)
    return [name for name in changed if name in there and there[name].mode != gates.APPLICATION]


def _what_was(now: DocumentMapping, fingerprint: str, was: Documents | None) -> DocumentMapping:
    """Find the declaration under which rows are written.

    Raises:
        PhaseError: it is not one of these, or the rows cannot stay in their table.

    """
    name = now.collection.name
    if was is None:
        raise _without_what_was(name)
    for mapping in was.mappings:
        if mapping.fingerprint == fingerprint and mapping.collection.name == name:
            _require_same_keys(mapping, now)
            return mapping
    raise PhaseError(
        f"{name}: its rows are not written under the declaration that is said to be the one before",
        hint="`--was` takes the file that was installed last; a repository has it (git show REVISION:syncline.toml)",
    )


def _require_same_keys(was: DocumentMapping, now: DocumentMapping) -> None:
    ours, theirs = now.tables[0], was.tables[0]
    if (ours.name, ours.columns[0]) != (theirs.name, theirs.columns[0]):
        name = now.collection.name
        raise PhaseError(
            f"{name}: its table, or what its keys are, has changed, and MongoDB does not serve there",
            hint=f"take the collection back to the ramp with the declaration before it: syncline phase back {name}",
        )


def _without_what_was(name: str) -> PhaseError:
    return PhaseError(
        f"the declaration of {name} has changed, and MongoDB does not serve there:"
        " its rows are written anew from what they are under the declaration before",
        hint="`syncline install --was FILE`, with the file as it was installed last; or take the collection back to the"
        f" ramp with it first: syncline phase back {name}",
    )


def _cure(wrong: Sequence[Finding]) -> str:
    if all(one.check == "tables" for one in wrong):  # none is there
        return "`syncline schema sql | psql` makes them, or put what it prints into your own migrations"
    return "`syncline schema sql --changes | psql` makes them so; `syncline schema check` says more"


def _to_note(owner: Owner, named: Named) -> bool:
    """Tell whether the sides are still to be noted in each other.

    Raises:
        ForeignTargetError: one has another counterpart.

    """
    if named.target is not None and named.target != owner.id:
        raise foreign_documents()
    if named.system is not None and named.system != owner.system:
        raise copied()
    if owner.source == named.id is not None:
        return named.system is None
    if owner.rows:
        raise foreign_rows(named) if owner.source else _unknown()
    return True


async def _note(link: DocumentLink, kept: Keeping, database: MarkedDatabase) -> None:
    """Note the sides in each other, MongoDB's first: of two installations one is refused there."""
    ours = await kept.kept()
    named = await database.identify(ours.id, ours.system)
    if named.target != ours.id:
        raise foreign_documents()
    if named.system != ours.system:
        raise copied()
    await settle(link, kept)  # one side may have been installed before, and the other one not
    await kept.set_source(named.id)


def _unknown() -> ForeignTargetError:
    return ForeignTargetError(
        "nobody has said whose documents the rows are that PostgreSQL has",
        hint="look at `url` in [source] and [target]; if they are right, `syncline adopt` writes everything anew",
    )
