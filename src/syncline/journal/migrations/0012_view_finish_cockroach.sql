-- name: outbox_view
-- With the view for people that reads it; the installation makes that one again.
DROP VIEW IF EXISTS syncline."Outbox" CASCADE
