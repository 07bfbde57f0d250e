"""Verifications under way, and whose turn it is: rows of ``syncline_documents.verification``."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import psycopg

from syncline.engines.postgres.documents.keeping import Keeping
from syncline.engines.postgres.documents.session import as_kept
from syncline.engines.postgres.verification.passes import TTL, PassRows
from syncline.ports import Checkpoint
from syncline.postgres.sql import blocks


class DocumentPasses(PassRows):
    """Passes of one process; see ``syncline.ports.Claims``. A session of its own, for one task at a time.

    Args:
        url: the PostgreSQL.
        owner: who claims them; by default somebody new.
        ttl: so long after its last word a process is dead.

    """

    def __init__(self, url: str, *, owner: str | None = None, ttl: timedelta = TTL) -> None:
        super().__init__(ttl)
        self._kept = Keeping(url)
        self._values = {"owner": owner or str(uuid.uuid4()), "ttl": ttl}
        self._sql = blocks("verifying.sql", __package__ or "")

    async def close(self) -> None:
        """End the session."""
        await self._kept.close()

    async def guard(self) -> str:
        """Name what a pass is about besides its collection: both sides, and the number of the link."""
        rows = await self._rows("guard")
        return str(rows[0][0]) if rows else ""

    async def begin(self, collection: str, scope: str, state: Mapping[str, Any]) -> Checkpoint:
        """Write the first row of a pass."""
        return await self._begin(collection, scope, state)

    async def forget(self, collections: Sequence[str]) -> None:
        """Drop what earlier commands left unfinished."""
        await self._rows("trim_claims")
        await self._rows("pass_forget", collections=list(collections))

    async def resume(self, collection: str, scope: str) -> Checkpoint | None:
        """Take over as ``Passes`` says."""
        return await self._resume(collection, collection, scope)

    async def _rows(self, name: str, /, **given: Any) -> list[Any]:
        connection = await self._kept.session()
        try:
            cursor = await connection.execute(self._sql[name], {**self._values, **given})
            return await cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise as_kept(error) from error


class DocumentRounds(DocumentPasses):
    """Whose turn it is in the continuous verification, for one worker: the one row of origin ``worker``."""

    async def claim(self) -> tuple[Checkpoint, str, str] | None:
        """Take the turn, or keep it; ``None``: another worker has it.

        Returns:
            Its pass, its collection (empty: nobody's) and what that pass is about.

        """
        rows = await self._rows("round_claim")
        if not rows:
            await self._rows("trim_claims")
            await self._rows("round_create")
            rows = await self._rows("round_claim")
        if not rows:
            return None
        id_, collection, scope, state, findings = rows[0]
        return Checkpoint(id_, state, json.loads(findings)), collection, scope

    async def turn(self, checkpoint: Checkpoint, collection: str = "", scope: str = "") -> Checkpoint:
        """Give the turn to a collection, or to nobody."""
        await self._rows("round_turn", id=checkpoint.id, collection=collection, scope=scope)
        return Checkpoint(checkpoint.id)

    async def ages(self) -> Mapping[str, float]:
        """Tell how many seconds ago each collection was verified under its declaration."""
        return dict(await self._rows("last_passes"))

    async def copies(self) -> Mapping[str, tuple[str, bool]]:
        """Tell which copy of a collection was the last one, and whether it is under way."""
        return {collection: (begun, under_way) for collection, begun, under_way in await self._rows("copies")}

    async def unmarked(self) -> frozenset[str]:
        """Name collections whose documents are not all marked since their declaration came into force."""
        return (await self._kept.kept()).unmarked

    async def failed(self, collection: str, message: str) -> None:
        """Note that a collection could not be verified."""
        await self._rows("failed", collection=collection, message=message)
