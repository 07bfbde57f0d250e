-- The initial copy of a table: its marks wait meanwhile.
CREATE TABLE IF NOT EXISTS syncline.copy (
    entity    smallint PRIMARY KEY,
    id        uuid NOT NULL DEFAULT gen_random_uuid(),
    begun_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    fenced    boolean NOT NULL DEFAULT false,
    looked_at timestamptz,
    copied_at timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE syncline.copy IS 'Syncline: tables that are being copied, or were: marks and sweeps of one wait until it is declared copied.';
COMMENT ON COLUMN syncline.copy.fenced IS 'No batch that was read before can be written any more: rows may be copied.';
