"""The schema ``syncline_documents``: what makes it, and whether it is there. Who keeps more in it adds a ``Script``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow

from syncline.engines.postgres.documents import rejections, versions
from syncline.engines.postgres.target.session import translated
from syncline.model.documents import DocumentMapping
from syncline.postgres.sql import blocks

NAME = "syncline_documents"


@dataclass(frozen=True, slots=True)
class Script:
    """A file of statements for the schema, each of which may be run again."""

    package: str
    file: str
    made: tuple[str, ...]
    """Names of its blocks, in their order."""
    columns: frozenset[str]
    """``table.column`` of the newest of what it makes: all there, it has been run."""

    def statements(self) -> Iterator[str]:
        """Give its statements."""
        known = blocks(self.file, self.package)
        yield from (known[name] for name in self.made)


_HERE = __package__ or ""
PHASES = (
    "phase",
    "phase_history",
    "phase_process",
    "shadow_report",
    "shadow_report_later",
    "rehearsal",
    "rehearsal_later",
    "query_shape",
)
"""What the journal of phases is made of, after the schema."""
AUDIT = ("schema", "operation", "of_document")
AUDIT_SCHEMA = "syncline_audit"
"""Of the log of operations that were done in PostgreSQL; it stays when all else is taken away."""
SCRIPTS: tuple[Script, ...] = (
    Script(
        _HERE,
        "versions.sql",
        versions.MADE,
        frozenset(
            {"link.id", "link.source", "link.beat_here", "key_version.mapping", "mapping.marked", "worker.report"}
        ),
    ),
    Script(_HERE, "copying.sql", ("copy",), frozenset({"copy.done_at"})),
    Script(
        _HERE,
        "verifying.sql",
        ("certificate", "verification", "verification_worker", "verify_failed"),
        frozenset({"certificate.mapping", "verification.claimed_until", "verify_failed.at"}),
    ),
    Script(
        "syncline.phases",
        "journal.sql",
        PHASES,
        frozenset({"phase.since", "shadow_report.mapping", "rehearsal.report", "query_shape.ranged"}),
    ),
    Script("syncline.phases.dual_write", "audit.sql", AUDIT, frozenset({"operation.after"})),
    Script(_HERE, "rejections.sql", rejections.MADE, frozenset({"rejected.waits", "settled_failure.settled_at"})),
)
"""In the order in which ``syncline install`` runs them."""

_COLUMNS = """/* syncline */
SELECT c.relname || '.' || a.attname
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname IN ('syncline_documents', 'syncline_audit') AND c.relkind IN ('r', 'p')"""


async def missing(connection: AsyncConnection[TupleRow]) -> tuple[bool, Sequence[Script]]:
    """Tell whether there is anything of the schema, and which scripts are to be run."""
    with translated():
        there = {row[0] for row in await (await connection.execute(_COLUMNS)).fetchall()}
    ours = [name for name in there if not name.startswith("operation.")]  # the log stays behind
    return bool(ours), [one for one in SCRIPTS if not one.columns <= there]


def grants(role: str, mappings: Sequence[DocumentMapping]) -> Iterator[sql.Composed]:
    """Give a role what a worker needs, no more."""
    tables = [table.name for mapping in mappings for table in mapping.tables]
    who = sql.Identifier(role)
    for schema in sorted({NAME, AUDIT_SCHEMA, *(table.schema for table in tables)}):
        yield sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), who)
    yield sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {} TO {}").format(
        sql.Identifier(NAME), who
    )
    yield sql.SQL("GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA {} TO {}").format(sql.Identifier(AUDIT_SCHEMA), who)
    for table in tables:
        yield sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {}").format(
            sql.Identifier(table.schema, table.name), who
        )
