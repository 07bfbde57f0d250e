"""The schema with every feature that moves, in a database, and an empty one beside it."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import psycopg

from syncline.config.named import SplitSettings
from syncline.split.ownership import Ownership, Rules
from syncline.split.schema.planning import Plan, plan

FILE = Path(__file__).parents[1] / "data" / "moving.sql"
RULES = {"primary": Rules(rest=True), "data": Rules(schemas=("ref", "Odd.Schema"))}


def schema(major: int) -> str:
    """Give the script as a release knows it."""
    return re.sub(
        r"^--(\d+): ",
        lambda found: "" if int(found[1]) <= major else found[0],
        FILE.read_text("utf-8"),
        flags=re.MULTILINE,
    )


def create(url: str, major: int | None = None) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(schema(major or connection.info.server_version // 10_000).encode())


def planned(
    source: psycopg.Connection[Any], target: psycopg.Connection[Any], rules: Any = RULES, **options: Any
) -> Plan:
    return plan(source, target, Ownership(rules), "data", SplitSettings(**options), today=date(2026, 11, 30))
