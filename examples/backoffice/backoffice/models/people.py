"""PRIMARY: who may log in, what they may do, and what they did."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import ForeignKey, Identity, Index, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from backoffice.models.bases import AuditEntry, Numbered, PrimaryBase


class Role(Numbered, PrimaryBase):
    """What its users may do. The administrators' may do everything."""

    __tablename__ = "roles"

    name: Mapped[str] = mapped_column(unique=True)
    permissions: Mapped[list[str]] = mapped_column(ARRAY(Text))
    admin: Mapped[bool] = mapped_column(default=False, server_default=text("false"))


class User(Numbered, PrimaryBase):
    """Somebody who works here. Nobody is deleted: who left is not active any more."""

    __tablename__ = "users"

    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    password_hash: Mapped[str]
    role_id: Mapped[int] = mapped_column(ForeignKey("roles.id"), index=True)
    active: Mapped[bool] = mapped_column(default=True, server_default=text("true"))


class LoginSession(Numbered, PrimaryBase):
    """A log-in that has not been ended. Its token is a credential, so that only a digest of it is kept."""

    __tablename__ = "sessions"

    token_digest: Mapped[str] = mapped_column(unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    expires_at: Mapped[dt.datetime]
    address: Mapped[str]
    agent: Mapped[str]


class LoginAttempt(PrimaryBase):
    """Counted to slow down whoever guesses passwords."""

    __tablename__ = "login_attempts"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    key: Mapped[str]
    at: Mapped[dt.datetime] = mapped_column(server_default=func.now(), index=True)

    __table_args__ = (Index(None, "key", "at"),)


class PrimaryAudit(AuditEntry, PrimaryBase):
    """What was done in PRIMARY."""

    __tablename__ = "audit_entries"
