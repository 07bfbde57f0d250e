"""``syncline doctor`` of a document link: both sides, and what they say of each other. It reads only."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from syncline.config import redact
from syncline.config.urls import host_of
from syncline.documents.opening import DocumentLink
from syncline.documents.standing import keeping, require_same
from syncline.engines.mongo import gates
from syncline.engines.mongo.marked import translated
from syncline.engines.mongo.marked_database import IDENTITY, MarkedDatabase
from syncline.engines.mongo.suitability import foreign
from syncline.engines.mongo.validators import KeptBy, kept_by
from syncline.engines.postgres.documents import inspection, schema
from syncline.engines.postgres.documents.coming_back import ComingBack
from syncline.engines.postgres.documents.keeping import Keeping, Kept
from syncline.errors import ForeignTargetError, NotInstalledError, SynclineError
from syncline.insight.checks.finding import Finding, critical, ok, warning
from syncline.insight.doctor import Diagnosis
from syncline.insight.document_schema import judge

SECONDS = 10.0
"""Limit of a check."""
CLOCKS_APART = 60.0
"""Seconds by which the clocks of both servers may differ before somebody should look."""
_INSTALL = "syncline install"
_NEEDED = frozenset({"find", "insert", "update", "remove"})
_PAST = "who does not ask it, another program, writes where nobody looks any more"
_GUIDE = "see docs/how-to/mark-documents.md"

Check = Callable[[], Awaitable[list[Finding]]]


class Doctor:
    """The checks of a link; each is made by itself, so that one that fails hides no other."""

    def __init__(self, link: DocumentLink) -> None:
        self._link = link
        self._mongo = MarkedDatabase(link.database, seconds=SECONDS)
        self._kept: Keeping = keeping(link)
        self._standing: Kept | None = None

    async def diagnose(self) -> Diagnosis:
        """Make every check that can be made; the worst comes first."""
        try:
            found = await self._of_mongodb() + await self._of_postgresql()
        finally:
            await self._kept.close()
        return Diagnosis(sorted(found, key=lambda finding: -finding.level))

    async def _of_mongodb(self) -> list[Finding]:
        found = await self._made("mongodb", self._server)
        if found and found[-1].level:
            return found
        checks = {"mongodb rights": self._mongo_rights, "collection": self._collections, "tls": self._mongo_tls}
        checks |= {"gate": self._gate}
        return found + [one for name, check in checks.items() for one in await self._made(name, check)]

    async def _of_postgresql(self) -> list[Finding]:
        found = await self._made("postgresql", self._target)
        if any(one.level > 1 for one in found):
            return found
        found += await self._made("installation", self._installation)
        checks = {"tables": self._tables, "rights": self._rights, "clocks": self._clocks}
        if self._standing is not None:
            checks |= {"declaration": self._declaration, "workers": self._workers, "parked": self._parked}
        return found + [one for name, check in checks.items() for one in await self._made(name, check)]

    async def _made(self, name: str, check: Check) -> list[Finding]:
        try:
            async with asyncio.timeout(SECONDS):
                return await check()
        except (SynclineError, TimeoutError) as error:
            said = redact(error.message) if isinstance(error, SynclineError) else f"no answer within {SECONDS:g} s"
            fix = (
                error.hint if isinstance(error, SynclineError) and error.hint else "correct that, then: syncline doctor"
            )
            maker = critical if name in {"mongodb", "postgresql"} else warning
            what = said if maker is critical else f"could not be checked: {said}"
            return [maker(name, what, why="nothing else can be looked at there", fix=fix)]

    # -- MongoDB

    async def _server(self) -> list[Finding]:
        if server := foreign(await self._mongo.build()):
            what = server.replace("the target", "the source")
            return [critical("mongodb", what, why="marks may be lost there", fix="run MongoDB: `url` of [source]")]
        found = await self._mongo.server()
        kind = f"replica set {found.replica_set}" if found.replica_set else "a standalone"
        if found.sharded:
            kind = "a sharded cluster, on which Syncline was not tested"
        return [ok("mongodb", f"MongoDB {found.version}, {kind}")]

    async def _mongo_rights(self) -> list[Finding]:
        status = await self._mongo.privileges()
        if not status["authenticatedUsers"]:
            return [ok("mongodb rights", "the server asks nobody who he is")]
        given, database = status["authenticatedUserPrivileges"], self._link.database.name
        lacking = {name: _NEEDED - _actions(given, database, name) for name in (*self._link.collections, IDENTITY)}
        if actions := sorted(frozenset().union(*lacking.values())):
            user, where = status["authenticatedUsers"][0]["user"], [name for name, some in lacking.items() if some]
            fix = f'db.grantRolesToUser("{user}", [{{role: "readWrite", db: "{database}"}}])'
            of = "" if len(where) == len(lacking) else f" ({', '.join(where)})"
            what = f"the user {user} may not {', '.join(actions)} in {database}{of}"
            return [critical("mongodb rights", what, why="marks cannot be read and cleared", fix=fix)]
        return [ok("mongodb rights", "the user may read and write")]

    async def _collections(self) -> list[Finding]:
        found = []
        for name in self._link.collections:
            if lacking := await self._mongo.lacking(name):
                what = f"{name} lacks the indexes of marks: {', '.join(lacking)}"
                found.append(critical("indexes of marks", what, why="workers refuse to begin", fix=_INSTALL))
            for one in await self._mongo.examine(name):
                level, why = critical if one.grave else warning, "some writes are refused there, or not marked"
                found.append(level("collection", f"{name}: {one}", why=why, fix=one.fix or _GUIDE))
        return found or [ok("collection", f"nothing is in the way of {', '.join(self._link.collections)}")]

    async def _gate(self) -> list[Finding]:
        """Say what keeps out writers that do not ask MongoDB's gate, of collections that went over."""
        database = self._link.database
        with translated():
            there = await gates.read(database)
            names = [name for name in self._link.collections if name in there and there[name].number]
            validated = [name for name in names if there[name].validated]
            kept = {name: await kept_by(database, name) for name in names if name not in validated}
        fixed = await self._unchangeable(validated) if validated else []
        fix = f'db.grantRolesToUser(USER, [{{role: "dbAdmin", db: "{database.name}"}}])'
        found = [ok("gate", f"{name}: kept by {KeptBy.VALIDATOR}") for name in validated if name not in fixed]
        for name in fixed:
            what = f"{name}: kept by {KeptBy.VALIDATOR}, which the user may not collMod"
            found.append(critical("gate", what, why="nothing there can change sides any more", fix=fix))
        for name, by in kept.items():
            if by is KeptBy.NO_RIGHT:
                found.append(warning("gate", f"{name}: kept by {by}", why=_PAST, fix=fix))
            else:
                by_next = f"{KeptBy.VALIDATOR} from the next change of sides on" if by is KeptBy.VALIDATOR else by
                found.append(ok("gate", f"{name}: kept by {by_next}"))
        return found

    async def _unchangeable(self, collections: Iterable[str]) -> list[str]:
        """Name the collections where the user lacks ``collMod``, by his privileges: one that is tried takes a lock."""
        status = await self._mongo.privileges()
        if not status["authenticatedUsers"]:
            return []
        given, database = status["authenticatedUserPrivileges"], self._link.database.name
        may = {"collMod", "anyAction"}
        return [name for name in collections if may.isdisjoint(_actions(given, database, name))]

    async def _mongo_tls(self) -> list[Finding]:
        url = self._link.documents.url("source")
        try:
            encrypted = bool(parse_uri(url)["options"].get("tls"))
        except (PyMongoError, ValueError):
            encrypted = True  # an SRV record is to be looked up for it, and asks for TLS by default
        return [_tls("MongoDB", url, encrypted, "tls=true")]

    # -- PostgreSQL

    async def _target(self) -> list[Finding]:
        about = await self._kept.about()
        found = [ok("postgresql", f"PostgreSQL {about['version']}")]
        if about["standby"]:
            why, fix = "a standby takes no writes", "point `url` of [target] at the primary"
            found = [critical("postgresql", "the server is a standby", why=why, fix=fix)]
        return [*found, _tls("PostgreSQL", self._link.documents.url("target"), about["tls"], "sslmode=verify-full")]

    async def _installation(self) -> list[Finding]:
        there, scripts = await schema.missing(await self._kept.session())
        if scripts:
            what = "the schema syncline_documents is of another version" if there else "Syncline is not installed here"
            return [critical("installation", what, why="no document is carried", fix=_INSTALL)]
        kept = await self._kept.kept()
        try:
            require_same(kept, await self._mongo.identity())
        except ForeignTargetError as error:
            why = "rows would be deleted, or marks taken from the other one; workers refuse"
            return [critical("installation", error.message, why=why, fix="syncline adopt  # if this one is right")]
        except NotInstalledError as error:
            return [critical("installation", error.message, why="workers refuse to begin", fix=_INSTALL)]
        self._standing = kept
        return [ok("installation", f"installed, link number {kept.number}")]

    async def _tables(self) -> list[Finding]:
        connection = await self._kept.session()
        return judge(self._link.mappings, await inspection.look(connection, self._link.mappings))

    async def _rights(self) -> list[Finding]:
        lacking = await self._kept.lacking([one.name for mapping in self._link.mappings for one in mapping.tables])
        if not lacking:
            return [ok("rights", "the role may read and write the tables")]
        role = (await self._kept.session()).info.user
        what = f"the role {role} may not read and write {', '.join(lacking)}"
        fix = f"syncline install --worker-role {role}  # as the tables' owner"
        return [critical("rights", what, why="documents of these tables wait", fix=fix)]

    async def _clocks(self) -> list[Finding]:
        theirs, about = await self._mongo.now(), await self._kept.about()
        if theirs is None:
            return []
        apart = abs(theirs.replace(tzinfo=UTC) - datetime.fromtimestamp(about["clock"], UTC)).total_seconds()
        if apart > CLOCKS_APART:
            why = "versions are drawn from MongoDB's: one that is set back later has documents raised, one by one"
            return [warning("clocks", f"the servers' clocks are {apart:.0f} s apart", why=why, fix="set both by NTP")]
        return [ok("clocks", "the servers' clocks agree")]

    async def _declaration(self) -> list[Finding]:
        kept = self._standing
        assert kept is not None  # noqa: S101  it was looked at
        declared = {one.collection.name: one.fingerprint for one in self._link.mappings}
        new = [name for name in declared if name not in kept.declared]
        changed = [name for name in declared if name in kept.declared and declared[name] != kept.declared[name]]
        changed += [name for name in kept.unmarked if name in declared and name not in changed]
        found = []
        if new:
            why = "workers refuse to begin"
            found.append(critical("declaration", f"not installed: {', '.join(new)}", why=why, fix=_INSTALL))
        if changed:
            what = f"the declaration is another one than that of the rows: {', '.join(changed)}"
            why, fix = "workers with this one refuse to begin", f"syncline schema sql --changes | psql, then {_INSTALL}"
            found.append(critical("declaration", what, why=why, fix=fix))
        if gone := sorted(set(kept.declared) - set(declared)):
            what = f"not declared any more: {', '.join(gone)}"
            found.append(
                warning("declaration", what, why="their rows grow old", fix="declare them, or drop the tables")
            )
        return found or [ok("declaration", "the rows are of this declaration")]

    async def _workers(self) -> list[Finding]:
        alive = sum(bool(one["alive"]) for one in await self._kept.workers())
        if alive:
            return [ok("workers", f"{alive} running")]
        return [warning("workers", "no worker is running", why="marked documents wait", fix="syncline worker")]

    async def _parked(self) -> list[Finding]:
        count = await self._kept.count_rejected()
        backlogs = await ComingBack(self._kept.session).counts() or {}
        back = sum(one.parked for one in backlogs.values())
        found = []
        if count:
            what, why = f"{count:,} documents are parked", "PostgreSQL lacks their newest state"
            found.append(warning("parked", what, why=why, fix="syncline parked list"))
        if back:
            what = f"{back:,} documents are parked on the way back"
            why = "MongoDB lacks their newest state, and no step back to the ramp ends before"
            found.append(warning("parked", what, why=why, fix="syncline parked list"))
        return found or [ok("parked", "no document is parked")]


def _tls(what: str, url: str, encrypted: bool | None, setting: str) -> Finding:
    host = host_of(url)
    if encrypted or _is_local(host):
        return ok("tls", f"{what}: {'encrypted' if encrypted else 'on this machine'}")
    why = "passwords and documents can be read on the way"
    return warning(
        "tls", f"the connection to {what} at {host} is not encrypted", why=why, fix=f"add {setting} to its URL"
    )


def _is_local(host: str) -> bool:
    name = host.rpartition(":")[0].strip("[]") or host
    if host.startswith("/") or name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _actions(privileges: Iterable[Mapping[str, Any]], database: str, collection: str) -> set[str]:
    covering = (one for one in privileges if _covers(one["resource"], database, collection))
    return {action for one in covering for action in one["actions"]}


def _covers(resource: Mapping[str, Any], database: str, collection: str) -> bool:
    return bool(resource.get("anyResource")) or (
        resource.get("db") in ("", database) and resource.get("collection") in ("", collection)
    )


async def diagnose(link: DocumentLink) -> Diagnosis:
    """Make every check that can be made; what cannot be reached is itself a finding."""
    return await Doctor(link).diagnose()
