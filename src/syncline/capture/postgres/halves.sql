-- Before what is missing of our schema is put back.

-- name: remembered
-- (Another tool may have dropped the column, too.)
DO $$
BEGIN
    UPDATE syncline.entity SET state = 'rearming' WHERE state = 'armed';
EXCEPTION WHEN undefined_column THEN
    NULL;
END $$
