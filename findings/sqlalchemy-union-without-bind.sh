#!/usr/bin/env bash
# SQLAlchemy 2.1.9, psycopg 3.3.9 (no server is needed).
#
# What it does: Session.get_bind() is told the mapper of select(Todo.id) and the statement of select(todo.c.id); of a UNION of
# two select(Todo.id) it is told nothing at all. A session that chooses its database by model or table sends it to the default one.
# What one would have guessed: the statement at least, as for every other.
# Seen:
#     columns of a model: clause, mapper
#     columns of a table: clause
#     union of tables: clause
#     union of models: nothing
# What helps: in the event do_orm_execute, state.bind_arguments.setdefault("clause", state.statement).
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages sqlalchemy==2.1.9 psycopg==3.3.9 psycopg-binary==3.3.9
python - <<'PYTHON' | expect 'columns of a model: clause, mapper
columns of a table: clause
union of tables: clause
union of models: nothing'
from sqlalchemy import select, union
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    pass


class Todo(Base):
    __tablename__ = "todo"
    id: Mapped[int] = mapped_column(primary_key=True)


class Asked(Exception):
    pass


class Curious(Session):
    def get_bind(self, mapper=None, *, clause=None, **arguments):
        given = {"clause": clause, "mapper": mapper}
        raise Asked(", ".join(name for name, value in given.items() if value is not None) or "nothing")


table = Todo.__table__
for what, statement in {
    "columns of a model": select(Todo.id),
    "columns of a table": select(table.c.id),
    "union of tables": union(select(table.c.id), select(table.c.id)),
    "union of models": union(select(Todo.id), select(Todo.id)),
}.items():
    try:
        Curious().execute(statement)
    except Asked as told:
        print(f"{what}: {told}")
PYTHON
