"""PRIMARY: connections to other systems and what ran there; imports, whose rows are in DATA."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from backoffice.models.bases import Numbered, PrimaryBase


class Integration(Numbered, PrimaryBase):
    """A connection to another system."""

    __tablename__ = "integrations"

    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    organization_id: Mapped[int | None] = mapped_column(
        ForeignKey("customers.organizations.id", ondelete="RESTRICT"), index=True
    )
    settings: Mapped[dict[str, Any]]
    enabled: Mapped[bool] = mapped_column(default=True, server_default=text("true"))

    __table_args__ = (CheckConstraint("kind IN ('edi', 'rest', 'sftp')", name="kind"),)


class IntegrationRun(Numbered, PrimaryBase):
    """One exchange with the other system; one of an integration runs at a time."""

    __tablename__ = "integration_runs"

    integration_id: Mapped[int] = mapped_column(ForeignKey("integrations.id", ondelete="CASCADE"), index=True)
    state: Mapped[str] = mapped_column(default="running", server_default=text("'running'"))
    ended_at: Mapped[dt.datetime | None]
    records: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    message: Mapped[str | None]

    __table_args__ = (
        CheckConstraint("state IN ('running', 'succeeded', 'failed')", name="state"),
        Index(
            "uq_integration_runs_running",
            "integration_id",
            unique=True,
            postgresql_where=text("state = 'running'"),
        ),
    )


class ImportRun(Numbered, PrimaryBase):
    """An import as people see it. Its rows are in DATA; what is committed there decides, see ``imports.workflow``."""

    __tablename__ = "import_runs"

    name: Mapped[str]
    format: Mapped[str]
    transform: Mapped[str | None]
    transform_version: Mapped[int | None]
    state: Mapped[str]
    started_by: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    changed_at: Mapped[dt.datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    rows: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    rejects: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    message: Mapped[str | None]

    __table_args__ = (
        CheckConstraint(
            "state IN ('staging', 'staged', 'committing', 'committed', 'discarding', 'discarded', 'failed')",
            name="state",
        ),
        Index(
            "ix_import_runs_unsettled",
            "id",
            postgresql_where=text("state IN ('staging', 'committing', 'discarding')"),
        ),
    )
