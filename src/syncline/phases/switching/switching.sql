-- What the coordinator of a collection's switch asks of the way back: the link's schema is that of the way back.

-- name: captured
SELECT FROM syncline.entity WHERE name = %(collection)s AND state = 'armed'

-- name: waiting
-- A delete that is done a second time holds nothing up: its tombstone is there. What is still to be marked does. And
-- whether somebody serves every lane.
SELECT EXISTS (
    SELECT FROM syncline.entity AS e
    WHERE e.name = %(collection)s
      AND (EXISTS (SELECT FROM syncline.waiting AS o WHERE o.entity = e.id AND o.hint <> 'G')
           OR EXISTS (SELECT FROM syncline.parked AS p WHERE p.entity = e.id)
           OR EXISTS (SELECT FROM syncline.task AS t WHERE t.entity = e.id))
), NOT EXISTS (
    SELECT FROM syncline.lane AS l LEFT JOIN syncline.worker AS w
        ON w.id = l.owner AND w.expires_at > pg_catalog.clock_timestamp()
    WHERE w.id IS NULL
)

-- name: lag
-- Whether somebody serves every lane, and the age of the oldest change.
SELECT NOT EXISTS (
    SELECT FROM syncline.lane AS l LEFT JOIN syncline.worker AS w
        ON w.id = l.owner AND w.expires_at > pg_catalog.clock_timestamp()
    WHERE w.id IS NULL
), coalesce((
    SELECT extract(epoch FROM pg_catalog.clock_timestamp() - min(o.at))
    FROM syncline.waiting AS o JOIN syncline.entity AS e ON e.id = o.entity
    WHERE e.name = %(collection)s AND o.hint <> 'G'
), 0)::float8

-- name: sides
SELECT j.name, j.goal, j.phase, j.holder IS NOT NULL AND j.held_until > pg_catalog.clock_timestamp(), g.mode
FROM syncline_gate.journal AS j JOIN syncline_gate.gate AS g USING (name)
WHERE j.name = ANY(%(names)s::text[])

-- name: mark
-- Those that are marked already are read soon. Only while PostgreSQL serves, which a closing waits for: what is marked
-- later than that nobody would bring, as MongoDB lets no link in.
WITH served AS MATERIALIZED (
    SELECT FROM syncline_gate.gate WHERE name = %(gate)s AND mode = 'a' FOR SHARE
)
SELECT syncline.mark(e.id, pg_catalog.array_agg(u.key), 'R')
FROM syncline.entity AS e CROSS JOIN served CROSS JOIN unnest(%(keys)s::text[]) AS u (key)
WHERE e.name = %(collection)s AND NOT EXISTS (
    SELECT FROM syncline.waiting AS o WHERE o.entity = e.id AND o.key = u.key AND o.hint <> 'G')
GROUP BY e.id

-- name: has_gates
SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'syncline_gate' AND c.relname = 'gate'

-- name: guarded
SELECT name FROM syncline_gate.gate WHERE name = ANY(%(names)s::text[])

-- name: table
SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(name)s
