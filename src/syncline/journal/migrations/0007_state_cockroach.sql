-- name: state
ALTER TABLE syncline.entity ADD COLUMN IF NOT EXISTS state text NOT NULL DEFAULT 'armed' CHECK (state IN ('pending', 'rearming', 'armed'))
