-- A notice says in a column which entity it is about, so that whoever sees that its cause is gone can end it.
-- name: column
ALTER TABLE syncline.notice ADD COLUMN IF NOT EXISTS entity text;
COMMENT ON COLUMN syncline.notice.entity IS 'What it is about; one of a name is open for each.';
-- name: known
-- Open ones of before said it in their message.
UPDATE syncline.notice AS n SET entity = e.name
FROM syncline.entity AS e
WHERE n.resolved_at IS NULL AND n.entity IS NULL
  AND (starts_with(n.message, e.name || ': ') OR starts_with(n.message, 'entity ' || e.name || ' ')
       OR starts_with(n.message, 'entity ' || e.name || ':') OR starts_with(n.message, 'entity ' || e.id || ' '));
