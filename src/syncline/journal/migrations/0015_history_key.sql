-- Every table of ours has a primary key. Workers insert into the history without knowing of it.

-- name: large_partitions
-- Each row is a statement of its own.
-- Large partitions get their index while others write to them; the next step makes it their key, and only builds small ones.
SELECT format('CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS %I ON syncline.%I (seq, processed_at)', c.relname || '_pkey', c.relname)
FROM pg_catalog.pg_inherits AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = pg_catalog.to_regclass('syncline.history') AND pg_catalog.pg_relation_size(c.oid) > 32 * 1024 * 1024
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS p WHERE p.conrelid = c.oid AND p.contype = 'p')
ORDER BY c.relname;

-- name: key
-- (An index that is not valid is one that broke off.)
DO $$
DECLARE
    part record;
BEGIN
    IF EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'syncline.history'::regclass AND contype = 'p') THEN
        RETURN;
    END IF;
    LOCK TABLE syncline.history IN ACCESS EXCLUSIVE MODE;
    FOR part IN
        SELECT c.relname AS name, c.relname || '_pkey' AS key, x.indisvalid AS ready
        FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        LEFT JOIN pg_index AS x ON x.indexrelid = to_regclass(format('syncline.%I', c.relname || '_pkey'))
        WHERE i.inhparent = 'syncline.history'::regclass
          AND NOT EXISTS (SELECT FROM pg_constraint AS p WHERE p.conrelid = c.oid AND p.contype = 'p')
    LOOP
        IF part.ready THEN
            EXECUTE format('ALTER TABLE syncline.%I ADD CONSTRAINT %I PRIMARY KEY USING INDEX %I', part.name, part.key, part.key);
        ELSE
            IF NOT part.ready THEN
                EXECUTE format('DROP INDEX syncline.%I', part.key);
            END IF;
            EXECUTE format('ALTER TABLE syncline.%I ADD CONSTRAINT %I PRIMARY KEY (seq, processed_at)', part.name, part.key);
        END IF;
    END LOOP;
    ALTER TABLE syncline.history ADD CONSTRAINT history_pkey PRIMARY KEY (seq, processed_at);
END $$;
