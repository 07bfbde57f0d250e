-- The functions and triggers that put marks into the outbox, as templates: {name} is replaced by a composed identifier
-- or expression, {body} by the dollar-quoted text of the block that is named like the function. `syncline install --sql`
-- prints the result.

-- name: passed
-- What the link that goes back has written here need not go there again. It says so in its transaction.
IF current_setting('syncline.link', true) = {tag} THEN
        RETURN NULL;
    END IF;

-- name: key_function
CREATE OR REPLACE FUNCTION {function}({arguments}) RETURNS text
    LANGUAGE sql {volatility} PARALLEL SAFE{settings}
    AS {body}

-- name: trigger_function
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER{settings}
    AS {body}

-- name: revoke_function
REVOKE ALL ON FUNCTION {function}({arguments}) FROM PUBLIC

-- name: function_comment
COMMENT ON FUNCTION {function}({arguments}) IS {comment}

-- name: trigger_comment
-- Tools that compare a table with their own idea of it show it before they drop.
COMMENT ON TRIGGER {trigger} ON {table} IS {comment}

-- name: statement
-- One row, the most frequent statement, goes a short way; many rows come together. The block before reads only, so that its
-- subtransaction takes no transaction id: what fails there would otherwise fail the user's statement. (`wake()` is asked in a
-- condition because that is an expression to PL/pgSQL, where PERFORM is a statement of its own.)
DECLARE
    one text;
    gone text;
    many boolean := false;
    nested text;
    problem text;
    mark_tx xid8;
    mark_at timestamptz;
    mark_hint "char";
    mark_durable boolean;
    mark_rows bigint;
    turns bigint;
    moved boolean;
    keys_now {array};
    keys_before {array};
BEGIN
    {passed}BEGIN
        {single};
    EXCEPTION
        WHEN no_data_found THEN
            {nothing};
        WHEN too_many_rows THEN
            many := true;
        WHEN OTHERS THEN
            problem := SQLERRM;
    END;
    IF problem IS NOT NULL THEN
        IF {noted} THEN
            RETURN NULL;
        END IF;
        BEGIN
            {many_carefully}
        EXCEPTION WHEN OTHERS THEN
            problem := SQLERRM;
            {gap}
        END;
        {wake_carefully}
        RETURN NULL;
    END IF;
    IF many THEN
        {many}
        IF NOT many THEN
            RETURN NULL;
        END IF;
    ELSE
        {mark_one}
        IF gone <> one THEN
            {mark_gone}
        END IF;
    END IF;
    IF syncline.wake() IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN NULL;
END

-- name: sound
-- May marks be made as always? It costs nothing: `markable()` is asked, and the rest looked up, when the statement is planned,
-- and again after every change of what is named here. What it says otherwise fails the statement it stands in.
CASE WHEN syncline.markable() THEN true
             ELSE EXISTS (SELECT o.entity, o.lane, o.hint, o.durable, o.key, b.seqs, b.keys FROM syncline.outbox AS o, syncline.block AS b
                          WHERE syncline.wake() IS NULL AND syncline.in_blocks() IS NULL AND 'syncline.outbox_seq_seq'::regclass IS NULL){typed} END

-- name: typed
-- The columns must be of the types whose equality is that of the keys' texts; in functions' calls, which convert nothing else.
 AND EXISTS (SELECT FROM changed AS n WHERE {equal})

-- name: mark
-- As `syncline.mark()` says it for whoever is not a trigger: a call for each row is too dear.
INSERT INTO syncline.outbox (entity, lane, hint, key) VALUES ({id}, {lane}, {of_row}, {of});

-- name: single_statement
SELECT q.k INTO STRICT one FROM (SELECT {key} AS k FROM changed AS r{where}) AS q
        WHERE {sound}

-- name: single_update
SELECT n.k, o.k INTO STRICT one, gone
        FROM (SELECT {key} AS k FROM changed AS r{where}) AS n CROSS JOIN (SELECT {key} AS k FROM before AS r{where}) AS o
        WHERE {sound}

-- name: values
-- What is the same of all rows is computed once. (The transaction has an id where there are rows; elsewhere none is taken.)
mark_tx := pg_current_xact_id_if_assigned();
            mark_at := clock_timestamp();
            mark_hint := {hint};
            mark_durable := current_setting('synchronous_commit') <> 'off';

-- name: marks
INSERT INTO syncline.outbox (tx, at, entity, lane, hint, durable, key)
            SELECT mark_tx, mark_at, {id}, {lane_q}, {of_rows}, mark_durable, q.k
            FROM ({keys}) AS q;

-- name: blocks
-- A row for each lane, and for each part of it where there are more keys than one row should have. It draws one number: the last of
-- its keys'. The first parts of all lanes have the lowest numbers: blocks that are read together have keys of rows that stand together.
WITH made AS (
                        INSERT INTO syncline.block (tx, at, entity, lane, hint, durable, seqs, keys, size, first, seq)
                        SELECT mark_tx, mark_at, {id}, b.lane, {of_rows}, mark_durable, '{{}}', b.keys, cardinality(b.keys), b.seq - cardinality(b.keys) + 1, b.seq
                        FROM (SELECT o.lane, o.keys, nextval('syncline.outbox_seq_seq') AS seq
                              FROM (SELECT l.lane, l.keys[part * l.each + 1 : (part + 1) * l.each] AS keys
                                    FROM (SELECT p.lane, p.keys, p.parts, (cardinality(p.keys) + p.parts - 1) / p.parts AS each
                                          FROM (SELECT {lane_q} AS lane, array_agg(q.k) AS keys, (count(*)::integer - 1) / {most} + 1 AS parts
                                                FROM ({keys}) AS q GROUP BY 1) AS p) AS l
                                    CROSS JOIN LATERAL generate_series(0, l.parts - 1) AS part
                                    ORDER BY part) AS o) AS b
                        RETURNING size
                    )
                    SELECT coalesce(sum(size), 0) INTO mark_rows FROM made;

-- name: blocks_now
-- A statement's rows are taken in slices, so that the memory of its session does not grow with them.
many := false;
                LOOP
                    {blocks}
                    many := many OR mark_rows > 0;
                    turns := turns + 1;
                    EXIT WHEN {was_last};
                END LOOP;

-- name: blocks_of_updated
-- In both tables the rows stand in the same order. Where they did not, keys would be looked for that have moved, no more.
-- (Keys that may be long are looked for at once: an array has 1 GB at most.)
many := false;
                moved := false;
                LOOP
                    SELECT array_agg(s.k) INTO keys_now FROM (SELECT {compared} AS k FROM {slice_now} AS r) AS s;
                    {blocks}
                    many := many OR mark_rows > 0;
                    IF NOT moved THEN
                        SELECT array_agg(s.k) INTO keys_before FROM (SELECT {compared} AS k FROM {slice_before} AS r) AS s;
                        moved := keys_before IS DISTINCT FROM keys_now;
                    END IF;
                    turns := turns + 1;
                    EXIT WHEN coalesce(cardinality(keys_now), 0) < {slice};
                END LOOP;

-- name: was_last
mark_rows < {slice}

-- name: was_last_of_parents
-- Of those a slice may have fewer than it has rows.
NOT EXISTS (SELECT FROM changed OFFSET turns * {slice} LIMIT 1)

-- name: blocks_gone
FOR turn IN 0 .. turns - 1 LOOP
                    {blocks}
                    many := many OR mark_rows > 0;
                END LOOP;

-- name: now
PERFORM FROM changed OFFSET {few} - 1 LIMIT 1;
            turns := CASE WHEN FOUND AND syncline.in_blocks() THEN 0 END;
            IF turns = 0 THEN
                {blocks_now}
            ELSE
                {marks}
                many := FOUND;
            END IF;

-- name: gone
IF turns > 0 THEN
                {blocks_gone}
            ELSE
                {marks}
                many := many OR FOUND;
            END IF;

-- name: many_statement
{values}
            {now}

-- name: many_update
-- The keys that the rows have now, in the rows' order, and those that nothing has any more. (Plans are kept for the session,
-- whatever number of rows the first statement had: a nested loop would be quadratic.)
{values}
            {now}
            IF moved IS NOT FALSE THEN
                nested := current_setting('enable_nestloop');
                PERFORM set_config('enable_nestloop', 'off', true);
                {gone}
                PERFORM set_config('enable_nestloop', nested, true);
            END IF;

-- name: keys
SELECT {distinct}{key} AS k FROM {rows} AS r{where}

-- name: keys_of_array
SELECT {distinct}s.k::text AS k FROM (SELECT unnest(keys_now) AS k) AS s WHERE s.k IS NOT NULL

-- name: keys_gone
SELECT {distinct}{key} AS k FROM {rows} AS r WHERE {present} AND NOT EXISTS (SELECT FROM changed AS n WHERE {same})

-- name: slice
(SELECT {columns} FROM {rows} OFFSET {turn} * {slice} LIMIT {slice})

-- name: noted
-- A gap is noted once a transaction; a savepoint that is rolled back takes the note along.
strpos(current_setting('syncline.gap', true), concat(' ', {stem}, '@', pg_current_xact_id()::text, ' ')) > 0

-- name: gap
-- What nobody can note here a worker's look at the catalog finds; `syncline install`, which puts it back, has everything marked.
PERFORM set_config('syncline.gap', concat(current_setting('syncline.gap', true), ' ', {stem}, '@', pg_current_xact_id()::text, ' '), true);
            BEGIN
                INSERT INTO syncline.task (kind, entity, reason)
                SELECT kind, {id}, 'capture gap' FROM unnest({kinds}::text[]) AS kind;
            EXCEPTION WHEN OTHERS THEN
                RAISE LOG 'syncline: changes of %.% are not marked: %; nor noted: %', TG_TABLE_SCHEMA, TG_TABLE_NAME, problem, SQLERRM;
            END;
            {notice}

-- name: notice
BEGIN
                INSERT INTO syncline.notice (name, severity, message, entity)
                SELECT 'CaptureBroken', 'critical', format(
                    'entity %s: changes of %s.%s cannot be marked one by one (%s), every record will be; run `syncline install`',
                    e.name, TG_TABLE_SCHEMA, TG_TABLE_NAME, problem), e.name
                FROM syncline.entity AS e
                WHERE e.id = {id} AND NOT EXISTS (SELECT FROM syncline.notice AS n WHERE n.name IN ('CaptureBroken', 'EntityStopped')
                                                  AND n.entity = e.name AND n.resolved_at IS NULL);
            EXCEPTION WHEN OTHERS THEN
                NULL; -- the task stands, or the server's log has it
            END;

-- name: wake_carefully
BEGIN
            PERFORM syncline.wake();
        EXCEPTION WHEN OTHERS THEN
            NULL; -- the worker polls
        END;

-- name: row
-- For tables whose rows can be written without a statement on them: partitions, inheritance, logical replication.
DECLARE
    before text;
    after text;
    problem text;
BEGIN
    {passed}BEGIN
        {row_keys}
        PERFORM WHERE {sound};
    EXCEPTION WHEN OTHERS THEN
        problem := SQLERRM;
    END;
    IF problem IS NULL THEN
        {row_marks}
        IF coalesce(before, after) IS NULL OR syncline.wake() IS NULL THEN
            RETURN NULL;
        END IF;
        RETURN NULL;
    END IF;
    IF {noted} THEN
        RETURN NULL;
    END IF;
    BEGIN
        {row_keys}
        {row_marks}
    EXCEPTION WHEN OTHERS THEN
        problem := SQLERRM;
        {gap}
    END;
    {wake_carefully}
    RETURN NULL;
END

-- name: row_keys
IF TG_OP <> 'INSERT' THEN
            before := CASE WHEN {old_present} THEN {old_key} END;
        END IF;
        IF TG_OP <> 'DELETE' THEN
            after := CASE WHEN {new_present} THEN {new_key} END;
        END IF;

-- name: row_marks
IF after IS NOT NULL THEN
            {mark_after}
        END IF;
        IF before <> after OR before IS NOT NULL AND after IS NULL THEN
            {mark_before}
        END IF;

-- name: truncate
-- Once a transaction, however many partitions a TRUNCATE reaches.
DECLARE
    problem text;
BEGIN
    {passed}BEGIN
        INSERT INTO syncline.task (kind, entity, reason)
        SELECT {kind}, {id}, 'truncate'
        WHERE NOT EXISTS (SELECT FROM syncline.task AS t WHERE t.tx = pg_current_xact_id() AND t.entity = {id} AND t.kind = {kind});
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        problem := SQLERRM;
    END;
    IF problem IS NOT NULL THEN
        IF {noted} THEN
            RETURN NULL;
        END IF;
        {gap}
    END IF;
    {wake_carefully}
    RETURN NULL;
END

-- name: trigger_statement
CREATE OR REPLACE TRIGGER {trigger} AFTER {event} ON {table} REFERENCING {rows} TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION {function}()

-- name: trigger_update
CREATE OR REPLACE TRIGGER {trigger} AFTER UPDATE ON {table} REFERENCING OLD TABLE AS before NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION {function}()

-- name: trigger_row
CREATE OR REPLACE TRIGGER {trigger} AFTER INSERT OR UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION {function}()

-- name: trigger_truncate
CREATE OR REPLACE TRIGGER {trigger} AFTER TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION {function}()

-- name: trigger_always
-- Else restores and `session_replication_role = replica` would lose changes.
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}

-- name: trigger_replica
-- Where replication writes past the statements, beside triggers on these.
ALTER TABLE {table} ENABLE REPLICA TRIGGER {trigger}

-- name: trigger_drop
DROP TRIGGER IF EXISTS {trigger} ON {table}

-- name: function_drop
DROP FUNCTION IF EXISTS {function}({arguments})

-- name: function_own
ALTER FUNCTION {function}() OWNER TO CURRENT_USER

-- name: wake_off
CREATE OR REPLACE FUNCTION syncline.wake() RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    RETURN; -- no NOTIFY: it was turned off. The relay polls.
END $$

-- name: observed_before
-- Under the lock that replaces triggers, those of partitions with it: are those there that a worker has seen last? Else
-- somebody else made them anew.
UPDATE syncline.observed SET catalog = catalog || '{{"replacing": true}}'
WHERE entity = {entity} AND catalog ? 'triggers' AND
      (SELECT coalesce(pg_catalog.jsonb_object_agg(key, value), '{{}}') FROM pg_catalog.jsonb_each(catalog -> 'triggers')
       WHERE split_part(key, ' ', 1)::oid = {table}::regclass OR split_part(key, ' ', 1)::oid IN (SELECT relid FROM pg_catalog.pg_partition_tree({table})))
    = (SELECT coalesce(pg_catalog.jsonb_object_agg(concat_ws(' ', tgrelid::oid, tgname), concat_ws(':', oid, xmin)), '{{}}')
       FROM pg_catalog.pg_trigger WHERE tgname LIKE {stem}
        AND (tgrelid = {table}::regclass OR tgrelid IN (SELECT relid FROM pg_catalog.pg_partition_tree({table}))))

-- name: observed_after
UPDATE syncline.observed SET catalog = jsonb_set(catalog - 'replacing', '{{triggers}}',
      (SELECT coalesce(pg_catalog.jsonb_object_agg(key, value), '{{}}') FROM pg_catalog.jsonb_each(catalog -> 'triggers')
       WHERE split_part(key, ' ', 1)::oid <> {table}::regclass
         AND split_part(key, ' ', 1)::oid NOT IN (SELECT relid FROM pg_catalog.pg_partition_tree({table})))
   || (SELECT coalesce(pg_catalog.jsonb_object_agg(concat_ws(' ', tgrelid::oid, tgname), concat_ws(':', oid, xmin)), '{{}}')
       FROM pg_catalog.pg_trigger WHERE tgname LIKE {stem}
        AND (tgrelid = {table}::regclass OR tgrelid IN (SELECT relid FROM pg_catalog.pg_partition_tree({table})))))
WHERE entity = {entity} AND catalog ? 'replacing'
