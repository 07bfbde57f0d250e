-- Which migrations this database has had. Their numbers may have gaps, and land out of order while a release is made.
CREATE TABLE IF NOT EXISTS syncline.migration (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE syncline.migration IS 'Syncline: which changes of these tables have been made; `syncline install` makes the others.';
