"""DATA: what delivery costs, and the imports that say so."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, Numeric, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from backoffice.models.bases import AuditEntry, DataBase, Numbered


class Carrier(Numbered, DataBase):
    """Who delivers."""

    __tablename__ = "carriers"

    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    active: Mapped[bool] = mapped_column(default=True, server_default=text("true"))


class Rate(DataBase):
    """A cell of the delivery matrix: a carrier, a zone, a weight band.

    A band is named by its upper bound, and begins where the one before it ends: no two can overlap.
    """

    __tablename__ = "delivery_rates"

    carrier_id: Mapped[int] = mapped_column(ForeignKey("carriers.id", ondelete="CASCADE"), primary_key=True)
    zone: Mapped[str] = mapped_column(primary_key=True)
    to_grams: Mapped[int] = mapped_column(primary_key=True)
    price: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    days: Mapped[int]

    __table_args__ = (
        CheckConstraint("to_grams > 0", name="to_grams"),
        CheckConstraint("price >= 0", name="price"),
        CheckConstraint("days BETWEEN 0 AND 365", name="days"),
    )


class Transform(Numbered, DataBase):
    """A version of named steps on columns; it never changes."""

    __tablename__ = "transforms"

    name: Mapped[str]
    version: Mapped[int]
    steps: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    author_id: Mapped[int]

    __table_args__ = (UniqueConstraint("name", "version"),)


class ImportBatch(DataBase):
    """The rows of an import, as one: staged, committed or dropped. Its number is the run's, in PRIMARY."""

    __tablename__ = "import_batches"

    import_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    state: Mapped[str]
    rows: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    rejects: Mapped[int] = mapped_column(default=0, server_default=text("0"))

    __table_args__ = (CheckConstraint("state IN ('staged', 'committed', 'dropped')", name="state"),)


class ImportRow(DataBase):
    """A row that waits to be committed."""

    __tablename__ = "import_rows"

    import_id: Mapped[int] = mapped_column(ForeignKey("import_batches.import_id", ondelete="CASCADE"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[dict[str, Any]]
    """As it was uploaded."""
    content: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """After the transform; null: it was rejected."""


class ImportReject(DataBase):
    """Why a row was rejected: a line, a column, a reason."""

    __tablename__ = "import_rejects"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    import_id: Mapped[int] = mapped_column(ForeignKey("import_batches.import_id", ondelete="CASCADE"))
    line: Mapped[int]
    column: Mapped[str | None]
    message: Mapped[str]

    __table_args__ = (Index(None, "import_id", "line"),)


class DataAudit(AuditEntry, DataBase):
    """What was done in DATA."""

    __tablename__ = "data_audit_entries"
