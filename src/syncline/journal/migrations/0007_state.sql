-- Triggers are made one table after the other: an entity is armed when all of its tables have theirs.
ALTER TABLE syncline.entity ADD COLUMN IF NOT EXISTS state text NOT NULL DEFAULT 'armed'
    CHECK (state IN ('pending', 'rearming', 'armed'));
COMMENT ON COLUMN syncline.entity.state IS
    'pending: triggers are still to be made, nobody serves it; rearming: to be marked when they are put back; armed: all is there.';
