-- name: copy
CREATE TABLE IF NOT EXISTS syncline.copy (
    entity    smallint PRIMARY KEY,
    id        uuid NOT NULL DEFAULT gen_random_uuid(),
    begun_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    fenced    boolean NOT NULL DEFAULT false,
    looked_at timestamptz,
    copied_at timestamptz
)
