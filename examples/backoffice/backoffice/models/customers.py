"""PRIMARY, schema ``customers``: who buys, and where they are."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from backoffice.models.bases import Numbered, PrimaryBase

SCHEMA = "customers"


class Organization(Numbered, PrimaryBase):
    """A customer."""

    __tablename__ = "organizations"

    name: Mapped[str] = mapped_column(unique=True)
    country: Mapped[str]
    active: Mapped[bool] = mapped_column(default=True, server_default=text("true"))

    __table_args__ = (CheckConstraint("country ~ '^[A-Z]{2}$'", name="country"), {"schema": SCHEMA})


class Facility(Numbered, PrimaryBase):
    """A place of a customer's: goods are sent from or to it."""

    __tablename__ = "facilities"

    organization_id: Mapped[int] = mapped_column(ForeignKey(f"{SCHEMA}.organizations.id", ondelete="RESTRICT"))
    name: Mapped[str]
    kind: Mapped[str]
    address: Mapped[str]
    zone: Mapped[str]
    """A delivery zone of DATA by its code: a loose reference, as no foreign key can lead there."""

    __table_args__ = (
        UniqueConstraint("organization_id", "name"),
        CheckConstraint("kind IN ('office', 'warehouse', 'shop')", name="kind"),
        {"schema": SCHEMA},
    )
