#!/usr/bin/env bash
# sqlglot 30.30.0, postgast 0.2.0 (libpg_query 18: PostgreSQL's own grammar, no server).
#
# What it does: read as PostgreSQL and written as PostgreSQL, 1_000 (a thousand, since PostgreSQL 16) is the number 1 with the name _000, 0o17 is the number 0
# called o17, 0x1F (31) is the bit string x'1F', and CURRENT_TIMESTAMP(3) loses its precision. PostgreSQL's grammar accepts each of
# these. In a WHERE or an UPDATE 1_000 is a ParseError.
# What one would have guessed: the same number, or the ParseError in each place.
# Seen: below, between the quotes.
# What helps: a parser made of PostgreSQL's own grammar, such as the one used here to compare.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages sqlglot==30.30.0 postgast==0.2.0
python - <<'PYTHON' | expect "SELECT 1_000 -> SELECT 1 AS _000; same to PostgreSQL: False
SELECT 0o17 -> SELECT 0 AS o17; same to PostgreSQL: False
SELECT 0x1F -> SELECT x'1F'; same to PostgreSQL: False
SELECT CURRENT_TIMESTAMP(3) -> SELECT CURRENT_TIMESTAMP; same to PostgreSQL: False
SELECT 7::int -> SELECT CAST(7 AS INT); same to PostgreSQL: True
SELECT LOCALTIMESTAMP(3) -> SELECT LOCALTIMESTAMP(3); same to PostgreSQL: True
SELECT a FROM t WHERE b > 1_000 -> ParseError"
import re

import postgast
import sqlglot

def tree(text):
    """Give what PostgreSQL's grammar makes of a statement, but for positions in its text."""
    return re.sub(r"\b(location|stmt_len): \d+", "", str(postgast.parse(text)))

for text in (
    "SELECT 1_000", "SELECT 0o17", "SELECT 0x1F", "SELECT CURRENT_TIMESTAMP(3)", "SELECT 7::int", "SELECT LOCALTIMESTAMP(3)", "SELECT a FROM t WHERE b > 1_000",
):
    try:
        written = sqlglot.transpile(text, read="postgres", write="postgres")[0]
    except sqlglot.ParseError as error:
        print(f"{text} -> {type(error).__name__}")
        continue
    print(f"{text} -> {written}; same to PostgreSQL: {tree(text) == tree(written)}")
PYTHON
