-- What the boundary guards of an application's processes have seen, in the home of a move: evidence for its switch.

-- name: table
-- A row of each process: what it has looked at and found since it began, and when it reported last. logged: the share of
-- repeated findings that it logs; it looks at every statement.
CREATE TABLE IF NOT EXISTS syncline_gate.guard (
    process uuid PRIMARY KEY,
    mode text NOT NULL,
    since timestamptz NOT NULL,
    at timestamptz NOT NULL,
    statements bigint NOT NULL,
    findings bigint NOT NULL,
    found_at timestamptz,
    latest text,
    logged float8 NOT NULL
)

-- name: function
-- Applications report by it, whatever their role may do. Times are the server's. The table stays small: rows are kept for a
-- week after their last report, and a thousand at most.
CREATE OR REPLACE FUNCTION syncline_gate.guarded(
    whose uuid, how text, looked_at bigint, crossed bigint, newest text, share float8
) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog SET lock_timeout = '1s' AS $$
DECLARE
    seen_at CONSTANT timestamptz := clock_timestamp();
BEGIN
    DELETE FROM syncline_gate.guard AS g WHERE g.at < seen_at - interval '7 days'
        OR g.process IN (SELECT o.process FROM syncline_gate.guard AS o ORDER BY o.at DESC OFFSET 1000);
    INSERT INTO syncline_gate.guard AS g (process, mode, since, at, statements, findings, found_at, latest, logged)
    VALUES (whose, left(how, 10), seen_at, seen_at, looked_at, crossed,
            CASE WHEN crossed > 0 THEN seen_at END, left(newest, 300), share)
    ON CONFLICT (process) DO UPDATE SET
        mode = excluded.mode, at = excluded.at, statements = excluded.statements, findings = excluded.findings,
        found_at = CASE WHEN excluded.findings > g.findings THEN excluded.at ELSE g.found_at END,
        latest = excluded.latest, logged = excluded.logged;
END
$$

-- name: open_function
GRANT EXECUTE ON FUNCTION syncline_gate.guarded(uuid, text, bigint, bigint, text, float8) TO PUBLIC

-- name: is_there
SELECT pg_catalog.to_regprocedure('syncline_gate.guarded(uuid, text, bigint, bigint, text, float8)') IS NOT NULL

-- name: report
SELECT syncline_gate.guarded(%(process)s, %(mode)s, %(statements)s, %(findings)s, %(latest)s, %(logged)s)

-- name: standing
-- Since when somebody has watched without a gap: a process begins before the last report of another is too old.
WITH chained AS (
    SELECT g.since, max(g.at) OVER (ORDER BY g.since ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM syncline_gate.guard AS g
),
whole AS (
    SELECT max(c.since) AS since FROM chained AS c
    WHERE c.before IS NULL OR c.since > c.before + %(gap)s * interval '1 second'
)
SELECT count(*) FILTER (WHERE g.at > pg_catalog.clock_timestamp() - %(gap)s * interval '1 second'),
       sum(g.statements)::bigint, sum(g.findings)::bigint, max(g.logged),
       extract(epoch FROM pg_catalog.clock_timestamp() - max(g.at))::float8,
       extract(epoch FROM max(g.at) - greatest(min(w.since), max(g.found_at)))::float8,
       (array_agg(g.latest ORDER BY g.found_at DESC NULLS LAST))[1]
FROM syncline_gate.guard AS g JOIN whole AS w ON g.since >= w.since
HAVING count(*) > 0
