"""The hash of a row, the same wherever its values have the same texts.

``ROW(…)::text`` calls each type's output function, quotes what is ambiguous, and writes ``NULL`` as nothing and an
empty text as ``""``. Both sides' sessions pin the settings that output functions look at (``syncline.postgres.pins``).
``hashtextextended`` hashes the bytes of the text under the collation C, alike in every release (hash partitions of a
dump rely on it).
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

ROW_HASH = 'pg_catalog.hashtextextended(ROW({values})::pg_catalog.text COLLATE pg_catalog."C", 0)'


def row_hash(values: Sequence[sql.Composable]) -> sql.Composed:
    """Compose the hash of some values."""
    return sql.SQL(ROW_HASH).format(values=sql.SQL(", ").join(values))


def row_sum(hashed: sql.Composable) -> sql.Composed:
    """Compose what sums up rows: their number, and the sum of their hashes as a text."""
    return sql.SQL("count(*), coalesce(sum({}), 0)::text").format(hashed)
