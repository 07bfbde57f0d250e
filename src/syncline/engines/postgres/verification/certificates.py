"""What is on its way to the target, and what remains of verifications, in our tables."""

from __future__ import annotations

import json
import re
from datetime import datetime

import psycopg
from psycopg.types.json import Jsonb

from syncline.journal.named import Statements
from syncline.journal.notices import leave_notice
from syncline.model.notice import Notice
from syncline.ports import Certificate, Plan, Situation
from syncline.postgres.connection import Connection, translated
from syncline.postgres.sql import blocks

_ESCAPED = re.compile(r"(?<!\\)((?:\\\\)*)\\u[0-9a-f]{4}")
KEEP = 1000
"""Certificates of an entity that are kept."""


class SqlBacklog:
    """See ``syncline.ports.Backlog``."""

    def __init__(self, connection: Connection) -> None:
        self._statements = Statements(connection, blocks("verification.sql"))

    async def situation(self) -> Situation:
        """Count marks and live workers."""
        return Situation(*await self._statements.one("situation"))

    async def waiting(self, plan: Plan, before: datetime) -> tuple[int, int]:
        """Count an entity's marks from before a time, and its tasks."""
        marks, tasks = await self._statements.one("waiting", entity=plan.id, before=before)
        return marks, tasks

    async def parked_keys(self, plan: Plan) -> list[str]:
        """List an entity's parked records."""
        return [key for (key,) in await self._statements.all("parked_keys", entity=plan.id)]


class SqlCertificates:
    """See ``syncline.ports.Certificates``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._statements = Statements(connection, blocks("verification.sql"))

    async def certify(self, plan: Plan, certificate: Certificate) -> None:
        """Keep a certificate, forget the oldest, end the notices that it disproves."""
        values = {
            "entity": plan.id,
            "as_of": certificate.as_of,
            "records": certificate.records,
            "verdict": certificate.verdict,
        }
        queries = blocks("verification.sql")
        with translated():
            try:
                report = Jsonb(certificate.facts, dumps=_storable)
                await self._connection.execute(queries["certify"], values | {"report": report})
            except (
                psycopg.errors.UntranslatableCharacter
            ):  # a source in LATIN1 has no place for what a document may hold
                report = Jsonb(certificate.facts, dumps=_plain)
                await self._connection.execute(queries["certify"], values | {"report": report})
        await self._statements.run("forget_certificates", entity=plan.id, keep=KEEP)
        await self._statements.run(
            "settled", entity=plan.name, equal=certificate.equal, undamaged=certificate.undamaged
        )

    async def warn(self, plan: Plan, name: Notice, message: str) -> None:
        """Leave a notice of an entity."""
        await leave_notice(self._connection, name, "warning", message, entity=plan.name)

    async def audit(self, entity: str, *, marked: int, left: int) -> None:
        """Leave a notice of a repair, over already."""
        await self._statements.run("audit", entity=entity, marked=marked, left=left)


def _storable(facts: object) -> str:
    """Write JSON that ``jsonb`` takes: it has no NUL character, and a document in the target may."""
    return json.dumps(facts, ensure_ascii=True).replace("\\u0000", "\\ufffd")


def _plain(facts: object) -> str:
    """Write JSON without any character beyond ASCII."""
    return _ESCAPED.sub(r"\1?", json.dumps(facts, ensure_ascii=True))
