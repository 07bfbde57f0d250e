"""Mapped classes of every awkward kind, installed for the session hook, with the oracle of ``capture_case``."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Column as Col
from sqlalchemy import ForeignKey, Numeric, String, Table, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

from syncline.model.entity import Embed, Entity, TableName
from tests.integration.capture_case import Case, entity


class Base(DeclarativeBase):
    pass


class Shouted(TypeDecorator[str]):
    """A value that is another one in the database."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else value.upper()

    def process_result_value(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else value.lower()


todo_tag = Table(
    "todo_tag",
    Base.metadata,
    Col("todo_id", ForeignKey("todo.id"), primary_key=True),
    Col("tag_id", ForeignKey("tag.id"), primary_key=True),
)
loose_tag = Table(
    "loose_tag",
    Base.metadata,
    Col("todo_id", ForeignKey("todo.id")),
    Col("tag_id", ForeignKey("tag.id")),
    Col("note", String),
)


class User(Base):
    __tablename__ = "user"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str]
    todos: Mapped[list[Todo]] = relationship(back_populates="user", cascade="all, delete-orphan")


class Todo(Base):
    __tablename__ = "todo"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    done: Mapped[bool] = mapped_column(default=False)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("user.id"))
    user: Mapped[User | None] = relationship(back_populates="todos")
    comments: Mapped[list[Comment]] = relationship(back_populates="todo")
    tags: Mapped[list[Tag]] = relationship(secondary=todo_tag)
    loose: Mapped[list[Tag]] = relationship(secondary=loose_tag)


class Comment(Base):
    __tablename__ = "comment"
    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str]
    todo_id: Mapped[int | None] = mapped_column(ForeignKey("todo.id"))
    todo: Mapped[Todo | None] = relationship(back_populates="comments")


class Tag(Base):
    __tablename__ = "tag"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Page(Base):
    """Its key is not what the ORM names its rows by."""

    __tablename__ = "page"
    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(unique=True)
    text: Mapped[str] = mapped_column(default="")


class Seat(Base):
    __tablename__ = "seat"
    row: Mapped[str] = mapped_column(Shouted, primary_key=True)
    number: Mapped[Decimal] = mapped_column(Numeric(10, 2), primary_key=True)
    guest: Mapped[str | None]


class Node(Base):
    __tablename__ = "node"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("node.id"))
    best_id: Mapped[int | None] = mapped_column(ForeignKey("node.id"))
    best: Mapped[Node | None] = relationship(foreign_keys=[best_id], remote_side="Node.id", post_update=True)


class Animal(Base):
    __tablename__ = "animal"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012


class Dog(Animal):
    __tablename__ = "dog"
    id: Mapped[int] = mapped_column(ForeignKey("animal.id"), primary_key=True)
    breed: Mapped[str]
    __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012


class Log(Base):
    """Nobody's entity."""

    __tablename__ = "log"
    id: Mapped[int] = mapped_column(primary_key=True)
    line: Mapped[str]


def entities() -> list[Entity]:
    parts = (
        Embed("comments", TableName("public", "comment"), ("todo_id",)),
        Embed("tags", TableName("public", "todo_tag"), ("todo_id",)),
        Embed("loose", TableName("public", "loose_tag"), ("todo_id",), order_by=("tag_id",)),
    )
    return [
        entity("user", "user"),
        entity("todo", "todo", embeds=parts),
        entity("page", "page", key=("slug",)),
        entity("seat", "seat"),
        entity("node", "node"),
        entity("animal", "animal"),
        entity("dog", "dog"),
    ]


def driver_url(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def session_case(url: str) -> Case:
    """Create the tables, install for session capture, and fill in a few rows that nobody has to mark."""
    engine = create_engine(driver_url(url))
    Base.metadata.create_all(engine)
    engine.dispose()
    case = Case(url, entities(), capture="session")
    case.install()
    case.sql(
        """INSERT INTO "user" VALUES ('00000000-0000-0000-0000-000000000001', 'ann'), ('00000000-0000-0000-0000-000000000002', 'bob')""",
        """INSERT INTO todo (id, title, done, user_id) SELECT i, 'todo ' || i, false, '00000000-0000-0000-0000-000000000001' FROM generate_series(1, 6) AS i""",
        "INSERT INTO comment (id, body, todo_id) VALUES (1, 'a', 1), (2, 'b', 1), (3, 'c', 2), (4, 'd', NULL)",
        "INSERT INTO tag VALUES (1, 'red'), (2, 'blue')",
        "INSERT INTO todo_tag VALUES (1, 1), (2, 2)",
        "INSERT INTO loose_tag VALUES (1, 1), (2, 2)",
        "INSERT INTO page VALUES (1, 'home', ''), (2, 'about', '')",
        "INSERT INTO seat VALUES ('A', 1.5, NULL), ('A', 2, NULL)",
        "INSERT INTO node VALUES (1, NULL, NULL), (2, 1, NULL), (3, 1, 2)",
        "INSERT INTO animal VALUES (1, 'animal', 'x'), (2, 'dog', 'rex')",
        "INSERT INTO dog VALUES (2, 'collie')",
        """SELECT setval(pg_get_serial_sequence(t, 'id'), 100) FROM unnest(ARRAY['todo', 'comment', 'page', 'node', 'animal', 'tag', 'log']) AS t""",
        """CREATE VIEW open_todo AS SELECT * FROM todo WHERE NOT done""",
        "CREATE PROCEDURE finish_all() LANGUAGE sql AS $$ UPDATE todo SET done = true $$",
    )
    return case
