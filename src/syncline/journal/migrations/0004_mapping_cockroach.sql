-- name: path
ALTER TABLE syncline.meta ADD COLUMN IF NOT EXISTS search_path text

-- name: columns
ALTER TABLE syncline.entity ADD COLUMN IF NOT EXISTS known_columns jsonb
