-- name: column
ALTER TABLE syncline.notice ADD COLUMN IF NOT EXISTS entity text
