-- name: nonces
ALTER TABLE syncline.meta ADD COLUMN IF NOT EXISTS nonces text[] NOT NULL DEFAULT '{}'

-- name: contested
ALTER TABLE syncline.meta ADD COLUMN IF NOT EXISTS contested text
