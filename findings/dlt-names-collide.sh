#!/usr/bin/env bash
# dlt 1.31.0, duckdb 2.0.1 (the destination).
#
# What it does: two fields of one row that have one name once they are written in snake case (`userId` and `user_id`), or a nested field
# and a flat one (`a.b` and `a__b`), go into one column: of two flat ones the later in the row wins, of nested and flat the nested one. The
# other value is nowhere, nothing is said, and the load is a success.
# What one would have guessed: an error, or a second column, as it makes one for values whose types differ.
# Seen:
#     {'userId': 1, 'user_id': 2} -> user_id: 2
#     {'user_id': 2, 'userId': 1} -> user_id: 1
#     {'a': {'b': 1}, 'a__b': 2} -> a__b: 1
#     {'a__b': 2, 'a': {'b': 1}} -> a__b: 1
# What helps: rename fields before they reach dlt, or take a naming convention that keeps upper case (`direct`, `sql_cs_v1`).
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages 'dlt[duckdb]==1.31.0' duckdb==2.0.1
cat >"$folder/look.py" <<'PYTHON'
import dlt

pipeline = dlt.pipeline("look", destination="duckdb", dataset_name="d", pipelines_dir="pipelines")


rows = ({"userId": 1, "user_id": 2}, {"user_id": 2, "userId": 1}, {"a": {"b": 1}, "a__b": 2}, {"a__b": 2, "a": {"b": 1}})
for number, row in enumerate(rows):
    pipeline.run([row], table_name=f"t_{number}").raise_on_failed_jobs()
    query = f"SELECT * EXCLUDE (_dlt_id, _dlt_load_id) FROM t_{number}"
    with pipeline.sql_client() as client, client.execute_query(query) as cursor:
        ((value,),) = cursor.fetchall()
        print(f"{row} -> {cursor.description[0][0]}: {value}")
PYTHON
export RUNTIME__DLTHUB_TELEMETRY=false DLT_DATA_DIR="$folder/dlt"
cd "$folder"
PYTHONPATH="$folder/packages" python3 look.py 2>"$folder/stderr" | expect "{'userId': 1, 'user_id': 2} -> user_id: 2
{'user_id': 2, 'userId': 1} -> user_id: 1
{'a': {'b': 1}, 'a__b': 2} -> a__b: 1
{'a__b': 2, 'a': {'b': 1}} -> a__b: 1" || { tail -5 "$folder/stderr" >&2; exit 1; }
