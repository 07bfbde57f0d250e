-- What applications with the previous release send for events, marks of the session hook and triggers' helpers.

-- name: find
SELECT id, key_columns, key_types FROM syncline.entity WHERE name = %(entity)s

-- name: event
SELECT syncline.mark(CAST(%(entity)s AS smallint), ARRAY[%(key)s::text], 'E', %(type)s::text, %(payload)s::jsonb)

-- name: hook
SELECT syncline.mark(q.entity, array_agg(q.key), CAST(q.hint AS "char"))
FROM (VALUES (%(entity)s::smallint, %(key)s::text, 'U')) AS q (entity, key, hint) GROUP BY q.entity, q.hint

-- name: by_hand
SELECT syncline.mark(%(entity)s::smallint, ARRAY[%(key)s::text], 'R')

-- name: lane
SELECT syncline.lane_of(%(entity)s::smallint, %(key)s::text)

-- name: wake
SELECT syncline.wake()
