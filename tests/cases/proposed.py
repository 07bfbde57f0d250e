"""From tables to entities by way of ``syncline init``: what it writes is loaded as a user would load it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import psycopg

from syncline.config import load
from syncline.insight.proposal import Proposal, propose
from syncline.model.entity import Entity
from syncline.postgres.connection import connect

URLS = {"DATABASE_URL": "postgresql://nobody/nothing", "MONGODB_URL": "mongodb://nobody/nothing"}


async def proposed(database: str, *ddl: str) -> Proposal:
    with psycopg.connect(database, autocommit=True) as conn:
        for statement in ddl:
            conn.execute(statement)
    connection = await connect(database)
    try:
        return await propose(connection)
    finally:
        await connection.close()


def loaded(proposal: Proposal, folder: Path, *, embeds: bool = False) -> list[Entity]:
    """Load what was written; with ``embeds`` the suggestions that stand there as comments too."""
    text = proposal.text
    if embeds:
        text = re.sub(r"^# (?=\[entities\.|(table|on|rename|types) = )", "", text, flags=re.MULTILINE)
    file = folder / "proposed.toml"
    file.write_text(text, "utf-8")
    return list(load(file, URLS).entities)


def documents(pair: Any, name: str) -> list[dict[str, Any]]:
    return list(pair.docs[pair.plan(name).entity.collection].find().sort("_id", 1))
