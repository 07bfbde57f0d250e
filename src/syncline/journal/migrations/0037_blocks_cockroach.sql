-- Marks in blocks: nothing makes any here; what counts and shows marks is said as for PostgreSQL.
-- name: block
CREATE TABLE IF NOT EXISTS syncline.block (
    seq     bigint PRIMARY KEY,
    first   bigint NOT NULL,
    tx      text,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    entity  smallint NOT NULL,
    lane    smallint NOT NULL,
    hint    text NOT NULL,
    durable boolean NOT NULL DEFAULT true,
    seqs    bigint[] NOT NULL,
    keys    text[] NOT NULL,
    size    integer NOT NULL
)

-- name: waiting
CREATE OR REPLACE VIEW syncline.waiting AS
SELECT tx, seq, at, entity, lane, hint, durable, key, event_type, payload FROM syncline.outbox
