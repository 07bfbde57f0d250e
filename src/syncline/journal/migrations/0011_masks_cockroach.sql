-- name: mask
ALTER TABLE syncline.entity ADD COLUMN IF NOT EXISTS mask text[]
