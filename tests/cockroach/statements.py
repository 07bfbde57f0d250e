"""What a statement's text becomes before PostgreSQL sees it: CockroachDB's own forms, and its refusals."""

from __future__ import annotations

import re

VERSION = "CockroachDB CCL v25.2.0 (simulated on PostgreSQL)"
"""What ``version()`` and the parameter ``crdb_version`` say."""

_NOT_THERE = re.compile(
    r"^\s*(listen|unlisten|notify|lock|vacuum|merge|prepare\s+transaction|create\s+publication|create\s+subscription"
    r"|create\s+(?:or\s+replace\s+)trigger|alter\s+table\s+\S+\s+(?:enable|disable)\b)",
    re.IGNORECASE,
)
_CLAUSES = re.compile(r"\b(tablesample|on\s+conflict\s*\([^)]*\(|for\s+key\s+share\s+skip)", re.IGNORECASE)
_TYPES = re.compile(r"\b(xid8|regconfig)\b", re.IGNORECASE)
_FUNCTIONS = re.compile(
    r"\b(pg_notify|pg_current_xact_id\w*|pg_current_snapshot|pg_snapshot_\w+|txid_\w+|pg_control_\w+|pg_walfile_name"
    r"|pg_current_wal_\w+|hashtextextended)\s*\(",
    re.IGNORECASE,
)
_COMPUTED = re.compile(r"(?<!\balways )\bas( \([^()]*(?:\([^()]*\)[^()]*)*\) stored)\b", re.IGNORECASE)
"""``AS (…) STORED``, to which PostgreSQL wants ``GENERATED ALWAYS``."""
_VERSION = re.compile(r"\bversion\(\)", re.IGNORECASE)
_SHOW_TRIGGERS = re.compile(r"^\s*show\s+triggers\s+from\s+(\S+?);?\s*$", re.IGNORECASE)
_PAST = re.compile(r"^\s*begin\s+as\s+of\s+system\s+time\s+('?)(-?[\d.]+)(ms|s)?\1\s*;?\s*$", re.IGNORECASE)
_MODIFIED = re.compile(r"\b(insert\s+into|update|delete\s+from)\s+([\w.\"]+)", re.IGNORECASE)
_COMMENT = re.compile(r"^\s*(/\*.*?\*/\s*|--[^\n]*\n\s*)+", re.DOTALL)


def rewritten(sql: str) -> str:
    """Give what PostgreSQL shall run instead; a refusal becomes a statement that raises it."""
    plain = _COMMENT.sub("", sql)
    if found := _SHOW_TRIGGERS.match(plain):
        return _show_triggers(found[1])
    refusal = _refusal(plain)
    if refusal:
        return _raise(*refusal)
    return _COMPUTED.sub(r"GENERATED ALWAYS AS\1", _VERSION.sub(f"'{VERSION}'::text", sql))


def past(sql: str) -> tuple[str, str] | None:
    """Read ``BEGIN AS OF SYSTEM TIME``: a number and its unit (``ms``, ``s``, or none: nanoseconds of the epoch)."""
    found = _PAST.match(_COMMENT.sub("", sql))
    return (found[2], found[3] or "") if found else None


def _refusal(sql: str) -> tuple[str, str] | None:
    if found := _NOT_THERE.match(sql):
        return "0A000", f"unimplemented: {' '.join(found[1].upper().split())} is not supported"
    if sql.lstrip()[:6].lower() == "create" and "function" in sql[:40].lower():
        return None  # judged by the event trigger
    if found := _CLAUSES.search(sql):
        return "42601", f"at or near {found[1].split()[0].lower()}: syntax error"
    if found := _TYPES.search(sql):
        return "42704", f'type "{found[0]}" does not exist'
    if found := _FUNCTIONS.search(sql):
        return "42883", f"unknown function: {found[1]}()"
    if "as of system time" in sql.lower() and not past(sql):
        return "0A000", "the simulator knows AS OF SYSTEM TIME in BEGIN only"
    return _twice(sql)


def _twice(sql: str) -> tuple[str, str] | None:
    """known-limitations: statements that modify one table more than once are refused unless all are plain INSERTs."""
    if not sql.lstrip().lower().startswith("with"):
        return None
    verbs: dict[str, list[str]] = {}
    for verb, table in _MODIFIED.findall(
        re.sub(r"do\s+update|for\s+(no\s+key\s+)?update", "", sql, flags=re.IGNORECASE)
    ):
        verbs.setdefault(table.lower(), []).append(verb.lower().split()[0])
    for table, found in verbs.items():
        if len(found) > 1 and (set(found) != {"insert"} or "on conflict" in sql.lower()):
            return "0A000", (
                f'multiple modification subqueries of the same table "{table}" are not supported unless they all use INSERT '
                "without ON CONFLICT; this is to prevent data corruption"
            )
    return None


def _show_triggers(table: str) -> str:
    quoted = table.replace("'", "''")
    return (
        "SELECT tgname::text AS trigger_name, tgenabled <> 'D' AS enabled FROM pg_catalog.pg_trigger "
        f"WHERE tgrelid = '{quoted}'::regclass AND NOT tgisinternal AND tgname <> 'crdb_retry'"
    )


def _raise(state: str, message: str) -> str:
    quoted = message.replace("'", "''").replace("%", "%%")
    return f"DO $refused$ BEGIN RAISE EXCEPTION '{quoted}' USING ERRCODE = '{state}'; END $refused$"
