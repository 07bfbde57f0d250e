-- Whose target it is: what this source last told the target, so that a copy of it is told from itself.
ALTER TABLE syncline.meta ADD COLUMN IF NOT EXISTS nonces text[] NOT NULL DEFAULT '{}';
ALTER TABLE syncline.meta ADD COLUMN IF NOT EXISTS contested text;
COMMENT ON COLUMN syncline.meta.nonces IS 'Random values that renewals have left in the target, newest first: another one there is another source''s.';
COMMENT ON COLUMN syncline.meta.contested IS 'Who else wrote to the target; workers refuse to start until `syncline adopt`.';
