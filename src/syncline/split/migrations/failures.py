"""What is said of a revision that failed: which, why, what of it is kept, what to do next."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import psycopg
from alembic.script import Script
from psycopg import errors
from sqlalchemy.exc import DBAPIError

from syncline.errors import MigrationError, SynclineError, UnrenderedError
from syncline.split import grammar
from syncline.split.connecting import clean
from syncline.split.grammar import GrammarError
from syncline.split.migrations.rendering import rendered
from syncline.split.migrations.session import invalid_indexes
from syncline.split.migrations.trees import Tree, where

ROLLED_BACK = "nothing of it is kept, what came before it is; correct it and run `syncline db migrate` again"


def failure(
    tree: Tree, revision: Script | None, error: BaseException, connection: psycopg.Connection[Any]
) -> MigrationError:
    """Make the error."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    place = where(error, tree)
    said = _said(tree, cause)
    if revision is None:
        return MigrationError(f"{tree.name}: {tree.folder}/env.py failed: {said}", hint=place)
    what = f"{tree.name}: revision {revision.revision} ({revision.doc}) failed{f' {place}' if place else ''}: {said}"
    return MigrationError(what, hint=_hint(tree, revision, cause, connection))


def _said(tree: Tree, cause: BaseException) -> str:
    if isinstance(cause, psycopg.Error):
        return clean(tree.database.direct_address, cause)
    if isinstance(cause, SynclineError):
        return cause.message
    return f"{type(cause).__name__}: {str(cause).partition(chr(10))[0]}"


def _hint(tree: Tree, revision: Script, cause: BaseException, connection: psycopg.Connection[Any]) -> str:
    if connection.closed or connection.broken:
        return "the session has ended; `syncline db status` says whether the revision was committed"
    kept = ROLLED_BACK
    if _commits(tree, revision):
        kept = "it has an autocommit_block: what came before that is kept, and runs again (IF NOT EXISTS bears that)"
        with suppress(psycopg.Error):
            if left := invalid_indexes(connection):
                kept += f"; left behind invalid: {', '.join(left)} (DROP INDEX CONCURRENTLY)"
    if isinstance(cause, errors.LockNotAvailable):
        return f"somebody holds a lock that it needs; {kept}, or wait longer with --lock-timeout"
    if isinstance(cause, errors.DuplicateTable | errors.DuplicateObject | errors.DuplicateColumn):
        return f"{kept}; if the database has it already, note it: `syncline db stamp {tree.name} {revision.revision}`"
    if isinstance(cause, errors.InsufficientPrivilege):
        return f"the role of {tree.database.direct_address.called} lacks a right; {kept}"
    return kept


def _commits(tree: Tree, revision: Script) -> bool:
    """Tell whether a revision commits by itself in between."""
    try:
        trees = grammar.statements(rendered(tree, revision))
    except (UnrenderedError, GrammarError):
        return True  # who knows
    return any("COMMIT" in str(one.get("TransactionStmt", {}).get("kind")) for one in trees)
