"""Statements as a revision of Alembic. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from psycopg import sql

_TEXT = '''\
"""Tables of documents."""

from alembic import op

revision = {revision!r}
down_revision = {after!r}
branch_labels = None
depends_on = None


def upgrade() -> None:
{statements}


def downgrade() -> None:
    raise NotImplementedError("tables that hold data are not taken away by a revision")
'''


def revision(statements: Sequence[sql.Composed], *, after: str | None) -> str:
    """Write a revision that runs the statements.

    Args:
        statements: in their order.
        after: the revision before it; ``None``: it is the first.

    """
    # Alembic takes a colon before a word for a parameter; the backslash before it says that it is not.
    texts = [one.as_string(None).replace(":", "\\:") for one in statements]
    name = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]
    lines = "\n".join(f"    op.execute({text!r})" for text in texts) or "    pass"
    return _TEXT.format(revision=name, after=after, statements=lines)
