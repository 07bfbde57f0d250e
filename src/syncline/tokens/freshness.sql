-- Read-your-writes: have the changes of these transactions reached the target?

-- name: freshness
-- One row. A queue is looked through from its new end and not further than %(depth)s marks: what is not found there, in
-- a queue that goes on, counts as waiting. So a reader's question stays cheap however long the queue is.
WITH recent AS MATERIALIZED (
    SELECT tx FROM syncline.outbox ORDER BY seq DESC LIMIT %(depth)s
), blocks AS MATERIALIZED (
    SELECT tx FROM syncline.block ORDER BY seq DESC LIMIT %(depth)s
)
SELECT (SELECT left(installation::text, 8) FROM syncline.meta) AS installation,
       pg_catalog.pg_is_in_recovery() AS standby,
       EXISTS (
           SELECT FROM syncline.parked AS p, unnest(CAST(%(txs)s AS xid8[])) AS t (tx) WHERE t.tx BETWEEN p.first_tx AND p.tx
       ) AS parked,
       EXISTS (SELECT FROM syncline.task WHERE tx = ANY(CAST(%(txs)s AS xid8[])))
       OR EXISTS (SELECT FROM recent WHERE tx = ANY(CAST(%(txs)s AS xid8[])))
       OR EXISTS (SELECT FROM blocks WHERE tx = ANY(CAST(%(txs)s AS xid8[])))
       OR (SELECT count(*) FROM recent) >= %(depth)s OR (SELECT count(*) FROM blocks) >= %(depth)s AS pending
