#!/usr/bin/env bash
# SQLAlchemy 2.1.9, SQLite in memory.
#
# What it does: a session with several binds commits them one after the other, in the order of a Python set of objects: of the
# same code, in one process, now one database is committed first and now the other. What is lost when the second commit fails
# (an order without its payment, a payment without its order) changes from run to run, so no recovery can count on an order.
# What one would have guessed: in the order in which the session met them, or in which they were flushed.
# Seen:
#     200 sessions, each writes to "first", then to "second"
#     committed first: both happen
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages sqlalchemy==2.1.9 typing_extensions==4.15.0
python - <<'PYTHON' | expect '200 sessions, each writes to "first", then to "second"
committed first: both happen'
from sqlalchemy import create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import StaticPool


class Base(DeclarativeBase):
    pass


class First(Base):
    __tablename__ = "first"
    id: Mapped[int] = mapped_column(primary_key=True)


class Second(Base):
    __tablename__ = "second"
    id: Mapped[int] = mapped_column(primary_key=True)


committed = []
engines = {}
for model in (First, Second):
    engine = engines[model] = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.tables[model.__tablename__].create(engine)
    event.listen(engine, "commit", lambda _, name=model.__tablename__: committed.append(name))

first_ones = set()
for _ in range(200):
    committed.clear()
    with Session(binds=engines) as session:
        for model in (First, Second):
            session.add(model())
            session.flush()
        session.commit()
    first_ones.add(committed[0])
print('200 sessions, each writes to "first", then to "second"')
print("committed first:", "both happen" if len(first_ones) == 2 else f"always {first_ones.pop()}")
PYTHON
