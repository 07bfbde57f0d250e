DROP VIEW IF EXISTS syncline."Outbox"
