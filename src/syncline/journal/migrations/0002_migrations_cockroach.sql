-- name: migration
CREATE TABLE IF NOT EXISTS syncline.migration (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
