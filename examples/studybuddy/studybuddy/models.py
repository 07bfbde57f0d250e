"""The tables. What is read in bulk is copied to MongoDB by Syncline: see ``syncline.toml``."""

from __future__ import annotations

import datetime as dt
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

MOMENT = TIMESTAMP(timezone=True, precision=3)
"""Milliseconds, as in MongoDB: both sides give the same answer."""


ORDERED = Text(collation="C").with_variant(Text(), "cockroachdb")
"""Ordered as MongoDB orders it. CockroachDB does that by itself, and has no columns with this collation."""


class Base(DeclarativeBase):
    """Names every constraint, so that migrations can drop it and errors can be told apart."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {int: BigInteger, str: Text, dt.datetime: MOMENT}  # noqa: RUF012  SQLAlchemy's own way


class Numbered:
    """What all records have."""

    id: Mapped[int] = mapped_column(Identity(), primary_key=True, sort_order=-1)
    created_at: Mapped[dt.datetime] = mapped_column(server_default=func.now(), sort_order=1)


def owner() -> Mapped[int]:
    """Make a column for the user a record belongs to; it goes with the user."""
    return mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)


class User(Numbered, Base):
    """Somebody who studies."""

    __tablename__ = "users"

    email: Mapped[str] = mapped_column(unique=True)
    username: Mapped[str]
    username_key: Mapped[str] = mapped_column(ORDERED, Computed("lower(username)", persisted=True), unique=True)
    """Names are compared without case."""
    password_hash: Mapped[str]
    avatar: Mapped[str | None]
    total_points: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    show_profile: Mapped[bool] = mapped_column(default=True, server_default=text("true"))

    __table_args__ = (
        Index("ix_users_leaderboard", text("total_points DESC"), "username_key", postgresql_where=text("show_profile")),
    )


class Login(Base):
    """A log-in that has not been ended: its access token is good."""

    __tablename__ = "logins"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[int] = owner()
    expires_at: Mapped[dt.datetime]


class LoginAttempt(Base):
    """Counted to slow down whoever guesses passwords."""

    __tablename__ = "login_attempts"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    key: Mapped[str]
    at: Mapped[dt.datetime] = mapped_column(server_default=func.now(), index=True)

    __table_args__ = (Index(None, "key", "at"),)


class Todo(Numbered, Base):
    """Something to learn."""

    __tablename__ = "todos"

    user_id: Mapped[int] = owner()
    title: Mapped[str]
    subject: Mapped[str]
    difficulty: Mapped[str]
    questions_target: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    completed: Mapped[bool] = mapped_column(default=False, server_default=text("false"))

    __table_args__ = (CheckConstraint("difficulty IN ('easy', 'medium', 'hard')", name="difficulty"),)


class Message(Numbered, Base):
    """From one user to another."""

    __tablename__ = "messages"

    sender_id: Mapped[int] = owner()
    receiver_id: Mapped[int] = owner()
    body: Mapped[str]

    __table_args__ = (
        Index(
            "ix_messages_pair", text("least(sender_id, receiver_id)"), text("greatest(sender_id, receiver_id)"), "id"
        ),
    )


class Friendship(Numbered, Base):
    """Asked for by one, accepted by the other; two users have one at most, whoever asked."""

    __tablename__ = "friendships"

    requester_id: Mapped[int] = owner()
    addressee_id: Mapped[int] = owner()
    state: Mapped[str] = mapped_column(default="pending", server_default=text("'pending'"))

    __table_args__ = (
        CheckConstraint("state IN ('pending', 'accepted')", name="state"),
        CheckConstraint("requester_id <> addressee_id", name="two_people"),
        Index(
            "uq_friendships_pair",
            text("least(requester_id, addressee_id)"),
            text("greatest(requester_id, addressee_id)"),
            unique=True,
        ),
    )


class Report(Numbered, Base):
    """How a day went."""

    __tablename__ = "reports"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    date: Mapped[dt.date]
    study_hours: Mapped[float]
    completion_pct: Mapped[float]

    __table_args__ = (
        UniqueConstraint("user_id", "date"),
        CheckConstraint("study_hours BETWEEN 0 AND 24", name="study_hours"),
        CheckConstraint("completion_pct BETWEEN 0 AND 100", name="completion_pct"),
    )


class StudySession(Numbered, Base):
    """A run of the study timer; the one that runs has no end yet."""

    __tablename__ = "study_sessions"

    user_id: Mapped[int] = owner()
    subject: Mapped[str]
    started: Mapped[dt.datetime] = mapped_column(server_default=func.now())
    ended: Mapped[dt.datetime | None]

    __table_args__ = (
        CheckConstraint("ended >= started", name="ended"),
        Index("uq_study_sessions_running", "user_id", unique=True, postgresql_where=text("ended IS NULL")),
    )


class Form(Numbered, Base):
    """Questions to others."""

    __tablename__ = "forms"

    user_id: Mapped[int] = owner()
    title: Mapped[str]
    questions: Mapped[list[str]] = mapped_column(JSONB)


class Response(Numbered, Base):
    """One user's answers to a form, in the order of its questions."""

    __tablename__ = "responses"

    form_id: Mapped[int] = mapped_column(ForeignKey("forms.id", ondelete="CASCADE"))
    user_id: Mapped[int] = owner()
    answers: Mapped[list[str]] = mapped_column(JSONB)

    __table_args__ = (UniqueConstraint("form_id", "user_id"),)
