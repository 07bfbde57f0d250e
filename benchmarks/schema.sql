-- name: table
CREATE TABLE todo (
    id bigint PRIMARY KEY, user_id bigint NOT NULL, title text NOT NULL, subject text, difficulty text, questions int, done boolean,
    points double precision, due timestamptz, note text, updated timestamptz
)

-- name: fill
INSERT INTO todo
SELECT g, g %% 1000, 'todo number ' || g, 'mathematics', 'easy', g %% 50, false, g * 0.5, now(), repeat('x', 120), now()
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS g

-- name: touch
UPDATE todo SET done = NOT done, updated = now()

-- name: remove
DELETE FROM todo

-- name: upsert_arrays
INSERT INTO todo
SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::int[], %s::boolean[], %s::double precision[],
                     %s::timestamptz[], %s::text[], %s::timestamptz[])
ON CONFLICT (id) DO UPDATE SET (user_id, title, subject, difficulty, questions, done, points, due, note, updated)
    = ROW (excluded.user_id, excluded.title, excluded.subject, excluded.difficulty, excluded.questions, excluded.done, excluded.points,
           excluded.due, excluded.note, excluded.updated)

-- name: staged
CREATE TEMPORARY TABLE IF NOT EXISTS staged (LIKE todo) ON COMMIT DELETE ROWS

-- name: upsert_staged
INSERT INTO todo SELECT * FROM staged
ON CONFLICT (id) DO UPDATE SET (user_id, title, subject, difficulty, questions, done, points, due, note, updated)
    = ROW (excluded.user_id, excluded.title, excluded.subject, excluded.difficulty, excluded.questions, excluded.done, excluded.points,
           excluded.due, excluded.note, excluded.updated)

-- name: delete_keys
DELETE FROM todo WHERE id = ANY(%s::bigint[])

-- name: written
SELECT tup_inserted + tup_updated + tup_deleted FROM pg_stat_database WHERE datname = current_database()

-- name: waiting
SELECT EXISTS (SELECT FROM syncline.changes WHERE NOT processed AND last_error IS NULL)

-- name: forget_marks
DO $$
BEGIN
    TRUNCATE syncline.outbox;
    IF to_regclass('syncline.block') IS NOT NULL THEN -- not in every commit that this is compared with
        TRUNCATE syncline.block;
    END IF;
END $$

-- name: digest
SELECT count(*), sum(hashtextextended(ROW(t.*)::text COLLATE "C", 0)) FROM todo AS t

-- name: small
CREATE TABLE {name} (
    id bigint PRIMARY KEY, owner bigint NOT NULL, title text NOT NULL, done boolean, points numeric(10, 2), at timestamptz, tags text[]
)

-- name: small_rows
SELECT sum(reltuples)::int FROM pg_class WHERE relname LIKE 'small!_%' ESCAPE '!' AND relkind = 'r'

-- name: fill_small
INSERT INTO {name} SELECT g, g %% 10, 'number ' || g, false, g * 0.5, now(), '{{a,b}}' FROM generate_series(1, %(rows)s::int) AS g

-- name: partitioned
DROP TABLE small_0000;
CREATE TABLE small_0000 (
    id bigint PRIMARY KEY, owner bigint NOT NULL, title text NOT NULL, done boolean, points numeric(10, 2), at timestamptz, tags text[]
) PARTITION BY HASH (id);
DO $$ BEGIN
    FOR n IN 0..999 LOOP
        EXECUTE format('CREATE TABLE small_0000_%s PARTITION OF small_0000 FOR VALUES WITH (MODULUS 1000, REMAINDER %s)', n, n);
    END LOOP;
END $$

-- name: bad
DROP TABLE IF EXISTS bad, beside;
CREATE TABLE bad (id bigint PRIMARY KEY, n int NOT NULL, wide numeric);
CREATE TABLE beside (id bigint PRIMARY KEY, n int NOT NULL);
INSERT INTO beside SELECT g, 0 FROM generate_series(1, 100) AS g

-- name: fill_bad
INSERT INTO bad SELECT g, 0, ('1.' || repeat('1', 40))::numeric FROM generate_series(1, %(rows)s::int) AS g

-- name: sessions
SELECT datname, pid FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()
