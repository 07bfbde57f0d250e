-- The functions and triggers that put marks into the outbox, as templates: {name} is replaced by a composed identifier
-- or expression, {body} by the dollar-quoted text of the block that is named like the function. `syncline install --sql`
-- prints the result.

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

-- name: statement
-- One pass over the rows that a statement changed. {hint} follows TG_OP for the entity's own table.
DECLARE
    is_durable boolean := current_setting('synchronous_commit') <> 'off';
BEGIN
    INSERT INTO syncline.outbox (entity, lane, hint, durable, key)
    SELECT {id}, syncline.lane_of({id}::smallint, q.k), {hint}, is_durable, q.k
    FROM (SELECT {distinct}{key} AS k FROM changed AS r{where}) AS q;
    IF FOUND THEN
        PERFORM syncline.wake();
    END IF;
    RETURN NULL;
END

-- name: moved
-- The row has another key now; the trigger's WHEN lets nothing else through. The statement's trigger marks the new key.
BEGIN
    IF {present} THEN
        INSERT INTO syncline.outbox (entity, lane, hint, key)
        VALUES ({id}, syncline.lane_of({id}::smallint, {old_key}), {hint}, {old_key});
        PERFORM syncline.wake();
    END IF;
    RETURN NULL;
END

-- name: row
-- For tables whose rows can be written without a statement on them: partitions, inheritance, logical replication.
DECLARE
    before text := CASE WHEN TG_OP <> 'INSERT' AND {old_present} THEN {old_key} END;
    after text := CASE WHEN TG_OP <> 'DELETE' AND {new_present} THEN {new_key} END;
BEGIN
    IF after IS NOT NULL THEN
        INSERT INTO syncline.outbox (entity, lane, hint, key)
        VALUES ({id}, syncline.lane_of({id}::smallint, after), {hint}, after);
    END IF;
    IF before <> after OR before IS NOT NULL AND after IS NULL THEN
        INSERT INTO syncline.outbox (entity, lane, hint, key)
        VALUES ({id}, syncline.lane_of({id}::smallint, before), {gone}, before);
    END IF;
    IF coalesce(before, after) IS NOT NULL THEN
        PERFORM syncline.wake();
    END IF;
    RETURN NULL;
END

-- name: truncate
-- Once a transaction, however many partitions a TRUNCATE reaches.
BEGIN
    INSERT INTO syncline.task (kind, entity, reason)
    SELECT {kind}, {id}, 'truncate'
    WHERE NOT EXISTS (SELECT FROM syncline.task AS t WHERE t.tx = pg_current_xact_id() AND t.entity = {id} AND t.kind = {kind});
    IF FOUND THEN
        PERFORM syncline.wake();
    END IF;
    RETURN NULL;
END

-- name: trigger_statement
CREATE TRIGGER {trigger} AFTER {event} ON {table} REFERENCING {rows} TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION {function}()

-- name: trigger_moved
CREATE TRIGGER {trigger} AFTER UPDATE ON {table}
    FOR EACH ROW WHEN ({moved}) EXECUTE FUNCTION {function}()

-- name: trigger_row
CREATE TRIGGER {trigger} AFTER INSERT OR UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION {function}()

-- name: trigger_truncate
CREATE TRIGGER {trigger} AFTER TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION {function}()

-- name: trigger_always
-- Else restores and `session_replication_role = replica` would lose changes.
ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}

-- name: trigger_drop
DROP TRIGGER {trigger} ON {table}

-- name: function_drop
DROP FUNCTION {function}({arguments})

-- name: wake_off
CREATE OR REPLACE FUNCTION syncline.wake() RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    RETURN; -- no NOTIFY: PREPARE TRANSACTION refuses it, or it was turned off. The relay polls.
END $$
