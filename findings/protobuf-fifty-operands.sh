#!/usr/bin/env bash
# postgast 0.2.0 (libpg_query 18), protobuf 7.36.2.
#
# What it does: postgast.parse() of an expression with fifty operands in a chain, or of a UNION of a hundred queries, raises
# protobuf's DecodeError and not its own PgQueryError: messages nested deeper than 100 are refused by default.
# PostgreSQL runs such statements, and programs write them.
# What one would have guessed: whatever PostgreSQL parses.
# Seen:
#     45 operands: parsed
#     50 operands: DecodeError
#     100 queries: DecodeError
#     500 operands, the JSON form: parsed
# What helps: libpg_query's JSON form (postgast.native.lib.pg_query_parse) with a decoder that goes deeper.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages postgast==0.2.0 protobuf==7.36.2 orjson==3.13.0
python - <<'PYTHON' | expect '45 operands: parsed
50 operands: DecodeError
100 queries: DecodeError
500 operands, the JSON form: parsed'
import orjson
import postgast
from postgast.native import lib


def chain(length):
    return "SELECT " + " || ".join(["x"] * length)


def attempt(what, parse, sql):
    try:
        parse(sql)
        print(f"{what}: parsed")
    except Exception as error:
        print(f"{what}: {type(error).__name__}")


attempt("45 operands", postgast.parse, chain(45))
attempt("50 operands", postgast.parse, chain(50))
attempt("100 queries", postgast.parse, " UNION ALL ".join(["SELECT 1"] * 100))
attempt("500 operands, the JSON form", lambda sql: orjson.loads(lib.pg_query_parse(sql.encode()).parse_tree), chain(500))
PYTHON
