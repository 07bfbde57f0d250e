#!/usr/bin/env bash
# duckdb 2.0.1.
#
# What it does: a Decimal parameter with more than 38 digits is a DOUBLE without a word, while an int with as many is an error. Out of JSON, `->>` gives an integer of 30
# digits as it is in the text, a number with a fraction as the double nearest to it, and read_json_auto makes doubles of both. A text field whose
# only value is "infinity" is the date 9999-12-31 in Python.
# What one would have guessed: the error that an int has; the text of the number, as PostgreSQL's ->> gives.
# Seen: below, between the quotes.
# What helps: str(value) and a cast; the columns' types given to read_json.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages duckdb==2.0.1
python - "$folder" <<'PYTHON' | expect "Decimal of 40 digits: DOUBLE 1.2345678901234568e+38
int of 40 digits: InvalidInputException
->> 123456789012345678901234567890: 123456789012345678901234567890
->> 12345678901234567890.123: 12345678901234567000.0
read_json_auto 18446744073709551616: DOUBLE 1.8446744073709552e+19
read_json_auto \"infinity\": DATE 9999-12-31"
import sys
from decimal import Decimal
from pathlib import Path

import duckdb

def look(name, value):
    try:
        kind, read = duckdb.execute("SELECT typeof(v), v FROM (SELECT ? AS v)", [value]).fetchone()
        print(f"{name}: {kind} {read}")
    except duckdb.InvalidInputException as error:
        print(f"{name}: {type(error).__name__}")

look("Decimal of 40 digits", Decimal("123456789012345678901234567890123456789.1"))
look("int of 40 digits", 1234567890123456789012345678901234567891)
for number in ("123456789012345678901234567890", "12345678901234567890.123"):
    print(f"->> {number}:", duckdb.execute(f"""SELECT '{{"a": {number}}}'::json ->> 'a'""").fetchone()[0])
file = Path(sys.argv[1], "rows.json")
for member in ("18446744073709551616", '"infinity"'):
    file.write_text(f'{{"a": {member}}}\n')
    kind, read = duckdb.execute("SELECT typeof(a), a FROM read_json_auto(?)", [str(file)]).fetchone()
    print(f"read_json_auto {member}: {kind} {read}")
PYTHON
