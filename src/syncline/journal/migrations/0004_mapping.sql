-- name: path
ALTER TABLE syncline.meta ADD COLUMN IF NOT EXISTS search_path text;
COMMENT ON COLUMN syncline.meta.search_path IS 'Under which path `where` and computed fields are evaluated, whoever does it.';

-- name: columns
ALTER TABLE syncline.entity ADD COLUMN IF NOT EXISTS known_columns jsonb;
COMMENT ON COLUMN syncline.entity.known_columns IS
    'The columns at the last `syncline install`, of the table and of each embed, with their numbers: others are new.';
