"""Our SQL lives in ``.sql`` files with named blocks; this reads them, and is the one place where SQL gets our schema.

Texts say ``syncline``, in files and in Python. What leaves here says the schema (the channel, the wake lock) of the
link that the work at hand is for; SQL that is composed in Python goes through ``ours``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files

from psycopg import sql

from syncline.model.link import Link, current

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_COMMENT = "/* syncline */ "
_SCHEMA = re.compile(
    r"(?<![\w.`-])syncline(?=\.(?!(?:traceparent|link|oids|gate_link|passed)\b)[\w%])"  # not settings that all share
    r"|(?<=')syncline(?=')"  # the name itself: in the catalog, of the channel
    r"|(?<=SCHEMA )syncline\b|(?<=SCHEMA IF NOT EXISTS )syncline\b|(?<=LISTEN )syncline\b|(?<=NOTIFY )syncline\b"
    r"|\bsyncline(?=_ddl\b)"  # the event trigger
)
_IS_OURS = re.compile(r"\bis_ours\((\w+)\)")
_OUR_SCHEMA = """(
    {0}.nspname::text IN ('syncline', 'syncline_audit', 'syncline_documents', 'syncline_gate', 'syncline_sessions')
    OR left({0}.nspname::text, 9) = 'syncline_'
    AND (SELECT count(*) FROM pg_catalog.pg_class AS of_ours
         WHERE of_ours.relnamespace = {0}.oid AND of_ours.relkind = 'r'
           AND of_ours.relname::text IN ('outbox', 'deferred', 'lane', 'lane_epoch', 'heartbeat')) >= 2)"""
"""``is_ours(n)`` of a row of ``pg_namespace``: the schema is ours, whichever link's.

An application may have others that begin so; ours hold a journal (two of its tables, whatever somebody has dropped), or
what a target remembers.
"""
_IS_OUR_TRIGGER = re.compile(r"\bis_our_trigger\((\w+)\)")
_OUR_TRIGGER = """EXISTS (
    SELECT FROM pg_catalog.pg_proc AS its_function
    JOIN pg_catalog.pg_namespace AS its_schema ON its_schema.oid = its_function.pronamespace
    WHERE its_function.oid = {}.tgfoid AND is_ours(its_schema))"""
"""``is_our_trigger(t)`` of a row of ``pg_trigger``: its function is ours. Others may be called as ours are."""
_MEASURES = {
    "queue_size()": """((SELECT count(*) FROM syncline.outbox WHERE in_queue())
           + (SELECT coalesce(sum(size), 0) FROM syncline.block WHERE in_queue()))::bigint""",
    "lag_seconds()": """greatest(coalesce(extract(epoch FROM clock_timestamp() - least(
           oldest_in_queue(),
           (SELECT min(created_at) FROM syncline.task
            WHERE reason = 'truncate' AND entity NOT IN (being_copied())))), 0), 0)::float8""",
    "oldest_in_queue()": """least((SELECT at FROM syncline.outbox WHERE in_queue() ORDER BY seq LIMIT 1),
           (SELECT at FROM syncline.block WHERE in_queue() ORDER BY seq LIMIT 1))""",
    "in_queue()": "hint <> 'G' AND no_copy_holds()",
    "no_copy_holds()": "coalesce(entity <> ALL(ARRAY(being_copied())), true)",
    "being_copied()": "SELECT of_copies.entity FROM syncline.copy AS of_copies WHERE of_copies.copied_at IS NULL",
}
"""What queue size and lag mean, wherever they are asked for. Each may use those below it.

They leave out the second deletes (hint G), what is parked, and what waits until its table is copied. (``coalesce``:
else the planner takes an array that it does not know for one that leaves out nearly everything.)
"""
_WAKE_LOCK = re.compile(r"\b1398361667, 1\b|\b1398361667 AND objid = 1\b")


def ours(text: str) -> str:
    """Put the current link's schema into SQL that was written in Python."""
    return _of_link(text, current())


def identifier(name: str) -> sql.Identifier:
    """Name something in the current link's schema."""
    return sql.Identifier(current().schema, name)


def _of_link(text: str, link: Link) -> str:
    for name, meaning in _MEASURES.items():
        text = text.replace(name, meaning)
    if link.name:
        number = link.wake_lock[1]
        text = _WAKE_LOCK.sub(lambda found: found[0].removesuffix("1") + str(number), text)
        text = _SCHEMA.sub(link.schema, text)
    if "is_our" not in text:
        return text
    text = _IS_OUR_TRIGGER.sub(lambda found: _OUR_TRIGGER.format(found[1]), text)
    return _IS_OURS.sub(lambda found: _OUR_SCHEMA.format(found[1]), text)


def blocks(file: str, package: str = "syncline.journal", *, comment: bool = True) -> Mapping[str, str]:
    """Read the named blocks of one of our ``.sql`` files.

    Each statement carries our name as a comment, so that it can be told apart in the database's log.

    Args:
        file: the file's name within the package, e.g. ``queries.sql``.
        package: the package that the file belongs to.
        comment: false for blocks that are parts of a statement.

    """
    return _blocks(file, package, comment, current())


@cache
def _blocks(file: str, package: str, comment: bool, link: Link) -> Mapping[str, str]:
    text = _of_link(files(package).joinpath(file).read_text("utf-8"), link)
    parts = _NAME.split(text)[1:]
    if twice := {name for name in parts[::2] if parts[::2].count(name) > 1}:
        raise ValueError(f"{package}/{file} has two blocks named {', '.join(sorted(twice))}")
    mark = _COMMENT if comment else ""
    return {name: mark + _strip(body) for name, body in zip(parts[::2], parts[1::2], strict=True)}


def script(file: str) -> str:
    """Read one of our ``.sql`` files whole."""
    return ours(files("syncline.journal").joinpath(file).read_text("utf-8"))


def statements_of(text: str) -> Iterator[str]:
    """Take a file apart into statements, without the semicolon at their end. One ends where a line does."""
    statement: list[str] = []
    quoted = False
    for line in text.splitlines():
        if not quoted and (line.startswith("--") or not line.strip()):
            continue
        statement.append(line)
        quoted ^= line.count("$$") % 2 == 1
        if not quoted and line.rstrip().endswith(";"):
            yield "\n".join(statement).rstrip().removesuffix(";")
            statement = []


def _strip(body: str) -> str:
    return "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip()
