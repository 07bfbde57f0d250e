-- What the catalog said of each entity's tables, so that a change is noticed although nobody looked while it was made.
-- name: observed
CREATE TABLE IF NOT EXISTS syncline.observed (
    entity  smallint PRIMARY KEY,
    catalog jsonb NOT NULL
)
-- name: comment
COMMENT ON TABLE syncline.observed IS 'Syncline: what the catalog said of each entity''s tables when a worker looked last.'
